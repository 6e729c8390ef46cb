"""One metric of several submissions, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from bench.plots.ladder import Scale
from bench.plots.palette import INK, MUTED, REAL, YOURS, dress
from bench.plots.ticks import log_ticks, symlog_ticks
from bench.records.score_record import ScoreValue

AXIS_LABELS = {
    "lower": "lower is better",
    "higher": "higher is better",
    "target": "closer to the dashed line is better",
}
NAME_LENGTH = 24
MAX_DECADES = 1e4  # from the end of the linear part to the largest value
WIDE = 8.0  # ratio of the largest to the smallest distance above which small bars would vanish


def plot_metric_bars(
    names: Sequence[str],
    entries: Sequence[ScoreValue | None],
    *,
    ax: Axes,
    best: int | None = None,
    title: str = "",
    scale: Scale = "linear",
) -> Axes:
    """Draw a bar for each submission, a whisker for its interval and a dashed line for perfect.

    `scale` is that of the metric. On "log" and "symlog", values that differ by more than a factor
    of 8 become points on such an axis, so that one outlier does not hide the others. `best` is the
    position of the significantly best submission, whose name is set in bold. A submission without a
    value is labelled as such.
    """
    direction = next((entry.direction for entry in entries if entry is not None), "target")
    ends = _ends(entries) if scale != "linear" else []
    wide = bool(ends) and max(map(abs, ends)) > WIDE * _smallest(ends)
    least = _wide_axis(ax, ends) if wide else -math.inf
    for place, entry in enumerate(entries):
        if entry is None or entry.value is None:
            ax.annotate(
                "no value",
                (0, place),
                xycoords=("axes fraction", "data"),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=MUTED,
            )
            continue
        if wide:
            ax.plot(entry.value, place, marker="o", markersize=6, color=YOURS)
        else:
            ax.barh(place, entry.value, height=0.62, color=YOURS, linewidth=0)
        if entry.interval is not None:
            ax.plot(
                [max(entry.interval.low, least), entry.interval.high],
                [place, place],
                color=INK,
                linewidth=1.4,
                marker="|",
                markersize=6,
                solid_capstyle="butt",
            )
    expected = {e.expected for e in entries if e is not None and e.expected is not None}
    for value in sorted(expected):
        ax.axvline(value, color=REAL, linewidth=1.4, linestyle="--")
    ax.set_ylim(len(names) - 0.4, -0.6)
    labels = ax.set_yticks(range(len(names)), [shortened(name) for name in names])
    dress(ax, title=title, x=AXIS_LABELS[direction], grid="x")
    for place, tick in enumerate(labels):
        tick.label1.set_fontweight("bold" if place == best else "normal")
        tick.label1.set_parse_math(False)
    ax.tick_params(axis="y", length=0)
    return ax


def _ends(entries: Sequence[ScoreValue | None]) -> list[float]:
    """Return the values, and what perfect submissions score."""
    drawn = [e.value for e in entries if e is not None and e.value is not None]
    return drawn + [e.expected for e in entries if e is not None and e.expected is not None]


def _smallest(values: Sequence[float]) -> float:
    """Return the smallest distance from zero that is not zero; infinity if all are zero."""
    return min((abs(value) for value in values if value), default=math.inf)


def _wide_axis(ax: Axes, ends: Sequence[float]) -> float:
    """Make the axis logarithmic beyond the smallest value; return where whiskers must end."""
    if min(ends) > 0:
        low, high = min(ends) / 2, 2 * max(ends)
        ax.set_xscale("log")
        ax.set_xlim(low, high)
        log_ticks(ax.xaxis, low, high)
        return low
    linear = max(_smallest(ends), max(map(abs, ends)) / MAX_DECADES)
    low = min(0.0, 2 * min(ends))
    ax.set_xscale("symlog", linthresh=linear)
    high = 2 * max(*ends, linear)
    ax.set_xlim(low - 0.5 * linear, high)
    symlog_ticks(ax.xaxis, linear, low, high)
    ax.axvline(0, color=MUTED, linewidth=0.7)
    return low - 0.5 * linear


def shortened(name: str) -> str:
    """Return a name without unprintable characters; the middle of a long name is omitted.

    >>> shortened("samples-of-a-very-long-run-15")
    'samples-…ery-long-run-15'
    """
    name = "".join(c for c in name if c.isprintable())
    if len(name) <= NAME_LENGTH:
        return name
    return f"{name[:8]}…{name[-(NAME_LENGTH - 9) :]}"
