"""How the images of a folder are distributed over classes, grey levels and features.

Shape legend: K classes, P points.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from numpy.typing import NDArray

from bench.plots.palette import INK, MUTED, REAL, YOURS, dress, legend
from bench.plots.ticks import PercentTicks

MAX_LABELLED = 30  # up to this number of classes, every tick is labelled


def plot_class_histogram(
    shares_K: NDArray[np.floating],
    reference_K: NDArray[np.floating] | None = None,
    *,
    ax: Axes,
    title: str = "Predicted classes",
) -> Axes:
    """Draw the share of each class as a bar, and the share in the reference as a mark."""
    places = np.arange(len(shares_K))
    ax.bar(places, shares_K, width=0.72, color=YOURS, label="this folder")
    if reference_K is not None:
        ax.plot(
            places,
            reference_K,
            linestyle="none",
            marker="_",
            markersize=max(6, min(18, 160 / len(shares_K))),
            markeredgewidth=2.4,
            color=REAL,
            label="real",
        )
        legend(ax, loc="upper right", columns=2)
        largest = max(float(shares_K.max()), float(reference_K.max()))
        ax.set_ylim(0, 1.22 * largest if largest else 1)
    if len(shares_K) <= MAX_LABELLED:
        ax.set_xticks(places)
    ax.yaxis.set_major_formatter(PercentTicks())
    return dress(ax, title=title, x="class", y="share of images")


def plot_grey_histogram(
    shares: NDArray[np.floating],
    reference: NDArray[np.floating] | None = None,
    *,
    ax: Axes,
    title: str = "Grey levels",
) -> Axes:
    """Draw the share of pixels at each grey level from 0 to 255 on a logarithmic axis."""
    levels = np.arange(len(shares))
    if reference is not None:
        drawn = np.where(reference > 0, reference, np.nan)
        ax.plot(levels, drawn, color=REAL, linewidth=1.4, linestyle="--", label="real")
    drawn = np.where(shares > 0, shares, np.nan)
    ax.plot(
        levels,
        drawn,
        color=YOURS,
        linewidth=1.4,
        marker="." if np.isfinite(drawn).sum() < 32 else None,
        label="this folder",
    )
    ax.set_yscale("log")
    ax.set_xlim(-2, len(shares) + 1)
    ax.set_xticks([0, 64, 128, 192, 255])
    if reference is not None:
        legend(ax, loc="upper center", columns=2)
    return dress(ax, title=title, x="grey level", y="share of pixels")


def plot_embedding(
    fake_P2: NDArray[np.floating],
    real_P2: NDArray[np.floating],
    *,
    ax: Axes,
    title: str,
    x: str = "",
    y: str = "",
) -> Axes:
    """Draw images of the folder and real images as points in two dimensions.

    Without axis names the axes have no numbers, as for t-SNE, where only nearness has a meaning.
    """
    spread = float(np.ptp(np.concatenate([real_P2, fake_P2])[:, 0])) or 1.0
    for points, colour, cap, label in (
        (real_P2, REAL, "projecting", "real"),
        (fake_P2, YOURS, "round", "this folder"),
    ):
        ax.add_patch(
            PathPatch(
                _dots(points, 1e-4 * spread),
                facecolor="none",
                edgecolor=colour,
                capstyle=cap,
                linewidth=2.6 if cap == "projecting" else 3.2,
                alpha=0.6,
            )
        )
        marker = "s" if cap == "projecting" else "o"
        ax.plot([], [], linestyle="none", marker=marker, markersize=4, color=colour, label=label)
    ax.autoscale_view()
    ax.margins(0.04)
    dress(ax, title=title, x=x, y=y, grid="both" if x else "")
    if not x:
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[["top", "right"]].set_visible(True)
        for spine in ax.spines.values():
            spine.set_color(MUTED)
    ax.legend(
        loc="upper left",
        bbox_to_anchor=(0, -0.02 if not x else -0.16),
        ncols=2,
        fontsize=8,
        frameon=False,
        labelcolor=INK,
    )
    return ax


def _dots(points_P2: NDArray[np.floating], length: float) -> Path:
    """Return all points as one path of short strokes, a tenth of the size of markers in an SVG."""
    finite = points_P2[np.isfinite(points_P2).all(axis=1)]
    strokes = np.repeat(finite, 2, axis=0).astype(np.float64)
    strokes[1::2, 0] += length
    return Path(strokes, np.tile([Path.MOVETO, Path.LINETO], len(finite)))
