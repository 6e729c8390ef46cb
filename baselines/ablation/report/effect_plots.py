"""Plots of effects: a forest plot with intervals, and a heat map of effects and interactions."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize

from baselines.ablation.analysis.effects import Effect, MetricEffects
from baselines.ablation.analysis.ranking import is_better
from baselines.ablation.design.short_names import effect_name, level_name
from bench.metrics import METRICS
from bench.plots.palette import INK, MUTED, dress
from bench.tables.directions import DIRECTIONS

BETTER, WORSE, NEUTRAL = "#009E73", "#D55E00", "#F2F2F2"
ON_CELL = "#101418"  # text on the cells of a heat map, which are light even on a dark page
LABEL_LENGTH = 40  # characters below an axis
MIN_SCALE = 1.0  # standard deviations of a run: smaller effects never get a full colour


def direction_words(metric: str) -> str:
    """Return a text such as "lower is better"; "" for an unknown metric."""
    return DIRECTIONS[METRICS[metric].direction].phrase if metric in METRICS else ""


def colour_of(metric: str, effect: Effect) -> str:
    """Return green for better, orange for worse, and grey for an effect that is negligible, not
    significant or without direction.
    """
    matters = effect.is_significant and not effect.is_negligible
    verdict = is_better(metric, effect.estimate) if matters else None
    return MUTED if verdict is None else BETTER if verdict else WORSE


def plot_forest(analysis: MetricEffects, *, ax: Axes, title: str = "") -> Axes:
    """Draw the estimate and 95 % interval of each effect on one metric, main effects above
    interactions. Filled marks are significant after Holm's correction.
    """
    effects = sorted(analysis.effects, key=lambda effect: len(effect.term))
    ax.axvline(0, color=MUTED, linewidth=0.9, linestyle="--")
    for place, effect in enumerate(effects):
        colour = colour_of(analysis.metric, effect)
        if effect.low is not None and effect.high is not None:
            ax.plot([effect.low, effect.high], [place, place], color=colour, linewidth=1.8)
        ax.plot(
            effect.estimate,
            place,
            linestyle="none",
            marker="o",
            markersize=6,
            color=colour,
            markerfacecolor=colour if effect.is_significant else "none",
            markeredgewidth=1.3,
        )
    num_main = sum(len(effect.term) == 1 for effect in effects)
    if 0 < num_main < len(effects):
        ax.axhline(num_main - 0.5, color=MUTED, linewidth=0.5)
    _name_rows(ax, [effect_name(effect) for effect in effects])
    ax.locator_params(axis="x", nbins=6)
    metric = analysis.metric
    words = direction_words(metric)
    change = f"change of {metric}"
    if words:  # on one line where it is not longer than the axis
        change += f" ({words})" if len(change + words) < LABEL_LENGTH else f"\n({words})"
    return dress(ax, title=title or metric, x=change, grid="x")


def _name_rows(ax: Axes, names: Sequence[str]) -> None:
    ax.set_ylim(len(names) - 0.4, -0.6)
    for tick in ax.set_yticks(range(len(names)), list(names)):
        tick.label1.set_parse_math(False)


def plot_interactions(analysis: MetricEffects, *, ax: Axes, title: str = "") -> Axes:
    """Draw main effects on the diagonal and two-factor interactions above it, in standard
    deviations of a run. Green is better, orange worse, grey negligible; a star marks significance
    after Holm.
    """
    mains = [effect for effect in analysis.effects if len(effect.term) == 1]
    keys = [(effect.term[0], effect.levels[0]) for effect in mains]
    found = {frozenset(zip(effect.term, effect.levels, strict=True)): effect
             for effect in analysis.effects}  # fmt: skip
    sizes = [abs(e.standardised) for e in analysis.effects if e.standardised is not None]
    scale = Normalize(-max([MIN_SCALE, *sizes]), max([MIN_SCALE, *sizes]))
    colours = LinearSegmentedColormap.from_list("effects", [WORSE, NEUTRAL, BETTER])
    for row, first in enumerate(keys):
        for column, second in enumerate(keys):
            effect = found.get(frozenset({first, second}))
            if column < row or effect is None or effect.standardised is None:
                continue
            _cell(ax, row, column, effect, colours(scale(_oriented(analysis.metric, effect))))
    names = [level_name(*key) for key in keys]
    for tick in ax.set_xticks(range(len(names)), names, rotation=30, ha="right"):
        tick.label1.set_parse_math(False)
    _name_rows(ax, names)
    ax.set_xlim(-0.6, len(names) - 0.4)
    ax.set_aspect("equal", adjustable="box")
    dress(ax, title=title or analysis.metric, grid="")
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(length=0)
    return ax


def _oriented(metric: str, effect: Effect) -> float:
    """Return the size in standard deviations of a run, above 0 for better, 0 if undefined or
    negligible.
    """
    verdict = None if effect.is_negligible else is_better(metric, effect.estimate)
    size = abs(effect.standardised or 0.0)
    return 0.0 if verdict is None else size if verdict else -size


def _cell(
    ax: Axes, row: int, column: int, effect: Effect, colour: tuple[float, float, float, float]
) -> None:
    ax.fill(
        [column - 0.48, column + 0.48, column + 0.48, column - 0.48],
        [row - 0.48, row - 0.48, row + 0.48, row + 0.48],
        color=colour,
        edgecolor=INK if row == column else "none",
        linewidth=0.8,
    )
    ax.text(
        column,
        row,
        f"{round(effect.standardised or 0.0, 1) + 0.0:+.1f}{'*' if effect.is_significant else ''}",
        ha="center",
        va="center",
        fontsize=8,
        color=ON_CELL,
        fontweight="bold" if effect.is_significant else "normal",
    )
