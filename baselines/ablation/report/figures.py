"""The figures of a report on an ablation; those without data are omitted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from matplotlib.figure import Figure

from baselines.ablation.analysis.analyse import Analysis
from baselines.ablation.analysis.curves import curves
from baselines.ablation.analysis.effects import MetricEffects
from baselines.ablation.analysis.tradeoff import TimeRatio
from baselines.ablation.design.short_names import cell_names, level_name
from baselines.ablation.report.effect_plots import plot_forest, plot_interactions
from baselines.ablation.report.training_plots import (
    CostGain,
    fit_axis,
    plot_arrows,
    plot_cost_gain,
    plot_curves,
)
from bench.metrics import METRICS
from bench.plots import new_figure
from bench.plots.palette import INK

MAX_NAMED = 5  # cells that a plot of learning curves names
SIDE_IN = 4.4
FIGURE_FILES = (
    "effects-*.svg", "interactions-*.svg", "learning-*.svg", "arrows-*.svg", "cost-gain.svg",
)  # fmt: skip
NOTES = {
    "effects": "Each level minus the base level, averaged over all other factors; below the line, "
    "interactions as differences of differences. Negligible: less than 1 % of the median run or of "
    "real images, whichever is more.",
    "interactions": "In standard deviations of a run: main effects are framed, interactions are "
    "above the diagonal. Green is better, orange worse, grey negligible, * significant after "
    "Holm's correction.",
    "learning": "Means over runs. With many cells, only the base and the best cell without "
    "diverged runs are named. Dashed: real images, if they are within reach.",
    "tradeoffs": "Arrows lead from the mean of the base level to the mean of the level. Costs are "
    "training times.",
    "samples": "All cells use the same latents.",
}
INTERVALS = {
    "effects": "Filled: significant at 5 % after Holm's correction over all effects of all "
    "metrics; green is better, orange worse, grey negligible. Whiskers: 95 % intervals over seeds.",
    "learning": "Bands: the 95 % interval of the mean.",
    "tradeoffs": "Pale crosses and whiskers are 95 % intervals of the shift and of the ratio.",
}
ONE_SEED = "One seed: no intervals."


def notes_of(analysis: Analysis) -> dict[str, str]:
    """Return the introductory note of each section, by its anchor."""
    return {
        anchor: f"{text} {ONE_SEED if analysis.has_one_seed else INTERVALS[anchor]}"
        if anchor in INTERVALS
        else text
        for anchor, text in NOTES.items()
    }


class Shown(NamedTuple):
    """A figure of one section. `name` is its file's, and matches `FIGURE_FILES`."""

    name: str
    section: str
    figure: Figure
    alt: str
    caption: str = ""


def figures_of(analysis: Analysis) -> list[Shown]:
    """Return all figures: effects, interactions, learning, tradeoffs."""
    return [
        *_forests(analysis),
        *_heat_maps(analysis),
        *_learning(analysis),
        *_arrows(analysis),
        *_costs(analysis),
    ]


def _forests(analysis: Analysis) -> Iterator[Shown]:
    for one in analysis.effects:
        if not any(e.estimate or e.low is not None for e in one.effects):
            continue  # all runs have one value
        figure = new_figure(1.2 * SIDE_IN, 1.0 + 0.24 * len(one.effects))
        plot_forest(one, ax=figure.subplots())
        yield Shown(
            f"effects-{one.metric}",
            "effects",
            figure,
            f"Effects on {one.metric} with their intervals",
        )


def _heat_maps(analysis: Analysis) -> Iterator[Shown]:
    for one in analysis.effects:
        if not any(len(e.term) == 2 and e.standardised is not None for e in one.effects):
            continue
        num = sum(len(effect.term) == 1 for effect in one.effects)
        figure = new_figure(max(SIDE_IN, 2.0 + 0.6 * num), max(3.4, 1.4 + 0.55 * num))
        plot_interactions(one, ax=figure.subplots())
        yield Shown(
            f"interactions-{one.metric}",
            "interactions",
            figure,
            f"Main effects and interactions on {one.metric}",
        )


def _learning(analysis: Analysis) -> Iterator[Shown]:
    """Yield the curves of the first metric by level of each factor, and of all by cell."""
    if analysis.curve.empty or analysis.curve["step"].nunique() < 2:
        return
    plan = analysis.plan
    first = plan.metrics[0]
    factors = list(plan.levels) if analysis.curve[first].nunique() > 1 else []
    if factors:
        columns = min(len(factors), 2)
        rows = math.ceil(len(factors) / columns)
        figure = new_figure(3.0 * columns, 2.7 * rows)
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
        means: list[float] = []
        for ax, factor in zip(axes.flat, factors, strict=False):
            points = curves(analysis.curve, first, by=factor)
            plot_curves(points, first, ax=ax, title=factor, fitted=False)
            means += [point.mean for point in points]
        fit_axis(axes.flat[0], means)
        for ax in list(axes.flat)[len(factors) :]:
            ax.set_axis_off()
        yield Shown(
            f"learning-{first}-factors",
            "learning",
            figure,
            f"{first} over training by level of each factor",
        )
    for metric in plan.metrics:
        if len({point.mean for point in analysis.curves.get(metric, ())}) < 2:
            continue
        figure = new_figure(SIDE_IN, 3.9)
        plot_curves(
            analysis.curves[metric],
            metric,
            ax=figure.subplots(),
            named=named_cells(analysis, metric),
            perfect=analysis.perfect.get(metric),
        )
        yield Shown(
            f"learning-{metric}",
            "learning",
            figure,
            f"{metric} over training by cell",
        )


def named_cells(analysis: Analysis, metric: str) -> dict[str, str]:
    """Return the names of the cells to name: all of a few; of many, the base and the best at the
    end among those without diverged runs.
    """
    names = cell_names(analysis.plan)
    cells = list(dict.fromkeys(point.group for point in analysis.curves[metric]))
    if len(cells) <= MAX_NAMED:
        return {cell: names[cell] for cell in cells}
    last = max(point.step for point in analysis.curves[metric])
    at_end = [point for point in analysis.curves[metric] if point.step == last]
    whole = max(point.num_runs for point in at_end)  # surviving runs alone look too good
    ends = {point.group: point.mean for point in at_end if point.num_runs == whole}
    direction = METRICS[metric].direction
    if direction == "target":
        return {analysis.base: names[analysis.base]}
    best = (max if direction == "higher" else min)(ends, key=lambda cell: ends[cell])
    return {cell: names[cell] for cell in (analysis.base, best)}


def _arrows(analysis: Analysis) -> Iterator[Shown]:
    for plane in dict.fromkeys((a.quality_metric, a.diversity_metric) for a in analysis.arrows):
        own = [a for a in analysis.arrows if (a.quality_metric, a.diversity_metric) == plane]
        if not any(a.quality.shift or a.diversity.shift for a in own):
            continue
        figure = new_figure(SIDE_IN, 4.4)
        plot_arrows(own, ax=figure.subplots())
        quality, diversity = plane
        real = ", ".join(
            f"{metric} {value:.3g}"
            for metric in plane
            if (value := analysis.perfect.get(metric)) is not None
        )
        yield Shown(
            f"arrows-{quality}",
            "tradeoffs",
            figure,
            f"Shift of {quality} and {diversity} by each level",
            f"Real images: {real}." if real else "",
        )


def _costs(analysis: Analysis) -> Iterator[Shown]:
    times = {one.name: one for one in analysis.times}
    for one in analysis.effects[:1]:
        points = _points(one, times)
        if not points:
            continue
        figure = new_figure(SIDE_IN, 4.4)
        lower = METRICS[one.metric].direction == "lower"
        plot_cost_gain(points, one.metric, ax=figure.subplots(), lower=lower)
        figure.axes[0].title.set_color(INK)
        yield Shown(
            "cost-gain",
            "tradeoffs",
            figure,
            f"Change of {one.metric} against training time, by level",
        )


def _points(analysis: MetricEffects, times: Mapping[str, TimeRatio]) -> list[CostGain]:
    found = []
    for effect in analysis.effects:
        if len(effect.term) != 1:
            continue
        time = times.get(f"{effect.term[0]}={effect.levels[0]}")
        if time is None:
            continue
        name = level_name(effect.term[0], effect.levels[0])
        found.append(
            CostGain(name, time.ratio, time.low, time.high, effect.estimate, effect.low,
                     effect.high)
        )  # fmt: skip
    return found
