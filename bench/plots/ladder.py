"""A metric over rising levels of damage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from matplotlib.axes import Axes

from bench.plots.palette import MARKERS, MUTED, OKABE_ITO, dress

SYMLOG_LINEAR = 0.01

Scale = Literal["linear", "log", "symlog"]


def plot_ladder(
    curves: Mapping[str, Sequence[float | None]],
    *,
    ax: Axes,
    title: str,
    expected: float | None = None,
    scale: Scale = "linear",
) -> Axes:
    """Draw one line for each perturbation over levels 0 (undamaged) to 5; None leaves a gap.

    `expected`, the value of a perfect submission, is a dashed line. A "symlog" axis is linear
    between -0.01 and 0.01.
    """
    for position, (name, values) in enumerate(curves.items()):
        heights = [float("nan") if value is None else value for value in values]
        ax.plot(
            range(len(heights)),
            heights,
            marker=MARKERS[position % len(MARKERS)],
            color=OKABE_ITO[position % len(OKABE_ITO)],
            markersize=4,
            linewidth=1.3,
            label=name,
        )
    if expected is not None:
        ax.axhline(expected, color=MUTED, linewidth=0.9, linestyle="--")
    if scale == "symlog":
        ax.set_yscale("symlog", linthresh=SYMLOG_LINEAR)
        drawn = [v for values in curves.values() for v in values if v is not None]
        ends = [*drawn, 0.0 if expected is None else expected]
        ax.set_ylim(
            bottom=min(1.5 * min(ends), -0.5 * SYMLOG_LINEAR),
            top=max(2 * max(ends), SYMLOG_LINEAR),  # automatic limits would cut the highest marker
        )
    else:
        ax.set_yscale(scale)
    return dress(ax, title=title, x="level of damage")
