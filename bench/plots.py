"""Plots: every function takes `ax`, draws on it and returns it. Colours tell apart with any eye
(Okabe & Ito 2008), and an SVG of the same data is the same file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

OKABE_ITO = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#8A8A00",
    "#7F7F7F",
)
MARKERS = "osD^vP*X<"

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
    """One line a perturbation over levels 0 (undamaged) to 5; gaps where there is no value.

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
        ax.axhline(expected, color="#444444", linewidth=0.8, linestyle="--")
    if scale == "symlog":
        ax.set_yscale("symlog", linthresh=SYMLOG_LINEAR)
        drawn = [v for values in curves.values() for v in values if v is not None]
        lowest = min([*drawn, 0.0 if expected is None else expected], default=0.0)
        ax.set_ylim(bottom=min(1.5 * lowest, -0.5 * SYMLOG_LINEAR))
    else:
        ax.set_yscale(scale)
    ax.set_title(title, fontsize=10)
    ax.set_xlabel("level of damage")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure; the same figure gives the same bytes."""
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    with mpl.rc_context({"svg.hashsalt": "latentbench"}):
        figure.savefig(path, metadata=metadata, dpi=110, bbox_inches="tight")
