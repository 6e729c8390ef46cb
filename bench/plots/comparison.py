"""One metric of several submissions, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from bench.plots.palette import INK, MUTED, REAL, YOURS, dress
from bench.records.score_record import ScoreValue

AXIS_LABELS = {
    "lower": "lower is better",
    "higher": "higher is better",
    "target": "closer to the dashed line is better",
}
NAME_LENGTH = 24
WIDE = 50.0  # ratio of the largest to the smallest value above which small bars would vanish


def plot_metric_bars(
    names: Sequence[str],
    entries: Sequence[ScoreValue | None],
    *,
    ax: Axes,
    best: int | None = None,
    title: str = "",
) -> Axes:
    """Draw a bar for each submission, a whisker for its interval and a dashed line for perfect.

    Positive values that differ by more than a factor of 50 become points on a logarithmic axis.
    `best` is the position of the significantly best submission, whose name is set in bold. A
    submission without a value is labelled as such.
    """
    direction = next((entry.direction for entry in entries if entry is not None), "target")
    logarithmic, least = _is_wide(entries), -math.inf
    if logarithmic:  # a whisker that reaches below 0 ends at the axis
        values = [e.value for e in entries if e is not None and e.value is not None]
        values += [e.expected for e in entries if e is not None and e.expected is not None]
        least = min(values) / 4
        ax.set_xscale("log")
        ax.set_xlim(least, 2 * max(values))
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
        if logarithmic:
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


def _is_wide(entries: Sequence[ScoreValue | None]) -> bool:
    drawn = [e.value for e in entries if e is not None and e.value is not None]
    drawn += [e.expected for e in entries if e is not None and e.expected is not None]
    return bool(drawn) and min(drawn) > 0 and max(drawn) > WIDE * min(drawn)


def shortened(name: str) -> str:
    """Return a name without unprintable characters; the middle of a long name is omitted.

    >>> shortened("samples-of-a-very-long-run-15")
    'samples-…ery-long-run-15'
    """
    name = "".join(c for c in name if c.isprintable())
    if len(name) <= NAME_LENGTH:
        return name
    return f"{name[:8]}…{name[-(NAME_LENGTH - 9) :]}"
