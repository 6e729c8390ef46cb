"""Plots over training and of trade-offs: learning curves, quality against diversity, cost against
gain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from baselines.ablation.analysis.curves import CurvePoint
from baselines.ablation.analysis.tradeoff import Arrow
from baselines.ablation.design.short_names import level_name
from baselines.ablation.report.effect_plots import direction_words
from bench.plots.palette import INK, MARKERS, MUTED, OKABE_ITO, dress
from bench.plots.ticks import log_ticks

WIDE = 8.0  # ratio of the largest to the smallest value beyond which an axis is logarithmic
MANY_STEPS = 10_000
FAR = 1.5  # times the range of the curves: more distant values of real images are not shown
SHORT_NAME = 10


class CostGain(NamedTuple):
    """A level: its training time over that of the base level and its effect, with their intervals
    if any.
    """

    name: str
    cost: float
    cost_low: float | None
    cost_high: float | None
    gain: float
    gain_low: float | None
    gain_high: float | None


def plot_curves(
    points: Sequence[CurvePoint],
    metric: str,
    *,
    ax: Axes,
    named: Mapping[str, str] | None = None,
    perfect: float | None = None,
    title: str = "",
    fitted: bool = True,
) -> Axes:
    """Draw the mean over seeds against steps with its 95 % band, one line for each group.

    `named` maps groups to their names in the legend (None: all groups); other groups are pale lines
    without a band. Without `fitted`, the caller chooses the axis, by `fit_axis`.
    """
    groups = list(dict.fromkeys(point.group for point in points))
    names = {group: group for group in groups} if named is None else named
    shown = [group for group in names if group in groups]
    for group in groups:
        if group not in shown:
            own = [point for point in points if point.group == group]
            ax.plot([p.step for p in own], [p.mean for p in own], color=MUTED, linewidth=0.6,
                    alpha=0.6)  # fmt: skip
    for number, group in enumerate(shown):
        own = [point for point in points if point.group == group]
        colour = OKABE_ITO[number % len(OKABE_ITO)]
        ax.plot(
            [p.step for p in own],
            [p.mean for p in own],
            color=colour,
            marker=MARKERS[number % len(MARKERS)],
            markersize=4,
            linewidth=1.6,
            label=names[group],
        )
        banded = [p for p in own if p.low is not None and p.high is not None]
        ax.fill_between(
            [p.step for p in banded],
            [p.low or 0.0 for p in banded],
            [p.high or 0.0 for p in banded],
            color=colour,
            alpha=0.16,
            linewidth=0,
        )
    means = [point.mean for point in points]
    if perfect is not None and means and _is_near(perfect, means):
        ax.axhline(perfect, color=INK, linewidth=1.1, linestyle="--")
    if fitted:
        fit_axis(ax, means)
    words = direction_words(metric)
    dress(ax, title=title or metric, x="steps", y=f"{metric} ({words})", grid="both")
    if max((point.step for point in points), default=0) >= MANY_STEPS:
        ax.xaxis.set_major_formatter(lambda step, _place: f"{step / 1000:g}k")
    _legend_below(ax)
    return ax


def _is_near(goal: float, means: Sequence[float]) -> bool:
    """Return whether a line at the goal leaves room for the curves."""
    span = max(means) - min(means)
    return min(means) - FAR * span <= goal <= max(means) + FAR * span


def _legend_below(ax: Axes) -> None:
    """Place the legend below the plot, because names may be long and lines are everywhere."""
    _, names = ax.get_legend_handles_labels()
    below = ax.legend(
        ncols=2 if max(map(len, names), default=0) <= SHORT_NAME else 1,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.17),
        fontsize=8,
        frameon=False,
        labelcolor=INK,
        handlelength=1.6,
    )
    for text in below.get_texts():
        text.set_parse_math(False)


def fit_axis(ax: Axes, means: Sequence[float]) -> None:
    """Use a logarithmic axis for a wide range of values, so that the end of training can be seen,
    and clip wide bands, such as those of two seeds. `means` are those of all lines that share the
    axis.
    """
    if means and min(means) > 0 and max(means) > WIDE * min(means):
        low, high = min(means) / 1.6, max(means) * 1.6
        ax.set_yscale("log")
        ax.set_ylim(low, high)
        log_ticks(ax.yaxis, low, high)
        return
    span = max(means, default=0.0) - min(means, default=0.0)
    if span > 0:
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, min(means) - FAR * span), min(high, max(means) + FAR * span))


def plot_arrows(
    arrows: Sequence[Arrow],
    *,
    ax: Axes,
    title: str = "",
) -> Axes:
    """Draw an arrow from the mean of the base level to that of each other level, diversity to the
    right and quality upwards. The pale cross at the tip is the 95 % interval of the shift.
    """
    first = arrows[0]
    for number, arrow in enumerate(arrows):
        colour = OKABE_ITO[number % len(OKABE_ITO)]
        x, y = arrow.diversity, arrow.quality
        tip = (x.start + x.shift, y.start + y.shift)
        ax.plot(x.start, y.start, marker=".", markersize=4, color=colour)
        ax.annotate(
            "",
            tip,
            (x.start, y.start),
            arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 1.8, "shrinkA": 0,
                        "shrinkB": 0},
        )  # fmt: skip
        if x.low is not None and x.high is not None:
            ax.plot([x.start + x.low, x.start + x.high], [tip[1]] * 2, color=colour, alpha=0.4)
        if y.low is not None and y.high is not None:
            ax.plot([tip[0]] * 2, [y.start + y.low, y.start + y.high], color=colour, alpha=0.4)
        ax.plot(*tip, linestyle="none", marker=MARKERS[number % len(MARKERS)], color=colour,
                markersize=5, label=level_name(arrow.factor, arrow.level))  # fmt: skip
    _legend_below(ax)
    ax.margins(0.12)
    ax.locator_params(nbins=5)
    return dress(
        ax,
        title=title or "Quality against diversity",
        x=f"{first.diversity_metric} (diversity)",
        y=f"{first.quality_metric} (quality)",
        grid="both",
    )


def plot_cost_gain(
    points: Sequence[CostGain], metric: str, *, ax: Axes, title: str = "", lower: bool
) -> Axes:
    """Draw the effect of each level against its training time, with both intervals. Better is up:
    if `lower` is better, the axis is inverted.
    """
    ax.axhline(0, color=MUTED, linewidth=0.9, linestyle="--")
    ax.axvline(1, color=MUTED, linewidth=0.9, linestyle="--")
    for number, point in enumerate(points):
        colour = OKABE_ITO[number % len(OKABE_ITO)]
        if point.cost_low is not None and point.cost_high is not None:
            ax.plot([point.cost_low, point.cost_high], [point.gain] * 2, color=colour)
        if point.gain_low is not None and point.gain_high is not None:
            ax.plot([point.cost] * 2, [point.gain_low, point.gain_high], color=colour)
        ax.plot(point.cost, point.gain, linestyle="none", marker=MARKERS[number % len(MARKERS)],
                color=colour, markersize=6, label=point.name, zorder=3)  # fmt: skip
    if lower:
        ax.invert_yaxis()
    _legend_below(ax)
    return dress(
        ax,
        title=title or "Cost against gain",
        x="training time over that of the base level",
        y=f"change of {metric}, better is up",
        grid="both",
    )
