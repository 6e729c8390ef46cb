"""Curves behind a metric: precision against recall, and FID against 1 / N."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse
from numpy.typing import NDArray

from bench.plots.palette import MUTED, REAL, YOURS, dress, legend

MARKER_RADIUS = 0.02  # of a point, in units of the axes of a plot of the usual size
ELLIPSE_RADII = 2.4477  # standard errors: the 95 % region of two independent normal variables


class PlanePoint(NamedTuple):
    """Recall and precision, with their standard errors if known."""

    recall: float
    precision: float
    recall_error: float | None = None
    precision_error: float | None = None


def is_ellipse_visible(point: PlanePoint) -> bool:
    """Return whether the 95 % ellipse of a point is larger than its marker."""
    errors = (point.recall_error, point.precision_error)
    return None not in errors and ELLIPSE_RADII * max(e or 0.0 for e in errors) > MARKER_RADIUS


def plot_precision_recall(
    point: PlanePoint | None,
    *,
    ax: Axes,
    perfect: PlanePoint | None = None,
    prd: tuple[NDArray[np.floating], NDArray[np.floating]] | None = None,
    title: str = "Precision and recall",
) -> Axes:
    """Draw the folder in the plane of recall (x) and precision (y), with its 95 % ellipse
    where that is larger than the point.

    `perfect` is what real images reach. `prd` is the PRD curve as (precision, recall), which
    follows another definition of both.
    """
    if prd is not None:
        precision, recall = prd
        ax.plot(recall, precision, color=MUTED, linewidth=1.3, label="PRD curve")
    if perfect is not None:
        ax.plot(
            perfect.recall,
            perfect.precision,
            linestyle="none",
            marker="^",
            markersize=8,
            color=REAL,
            label="real images",
        )
    if point is not None:
        if (
            point.recall_error is not None
            and point.precision_error is not None
            and is_ellipse_visible(point)
        ):
            ellipse = Ellipse(
                (point.recall, point.precision),
                2 * ELLIPSE_RADII * point.recall_error,
                2 * ELLIPSE_RADII * point.precision_error,
                facecolor=YOURS,
                alpha=0.25,
                edgecolor="none",
            )
            ax.add_patch(ellipse)
        ax.plot(
            point.recall,
            point.precision,
            linestyle="none",
            marker="o",
            markersize=6,
            color=YOURS,
            label="this folder",
        )
    ax.set_xlim(0, 1.02)
    ax.set_ylim(0, 1.02)
    ax.set_aspect("equal", adjustable="box")
    legend(ax, loc="lower left")
    return dress(ax, title=title, x="recall", y="precision", grid="both")


def plot_fid_line(
    sizes: Sequence[int],
    values: Sequence[float],
    intercept: float,
    slope: float,
    *,
    ax: Axes,
    title: str = "FID against 1 / N",
) -> Axes:
    """Draw the FID of random subsets over 1 / N and the line that extends it to infinity."""
    x = 1 / np.asarray(sizes, dtype=np.float64)
    ends = np.array([0.0, x.max()])
    ax.plot(ends, intercept + slope * ends, color=MUTED, linewidth=1.2, linestyle="--")
    ax.plot(x, values, linestyle="none", marker="o", markersize=4.5, color=YOURS, label="subsets")
    ax.plot(
        0,
        intercept,
        linestyle="none",
        marker="D",
        markersize=7,
        color=REAL,
        label=f"infinitely many: {intercept:.4g}",
        clip_on=False,
    )
    ax.set_xlim(left=0)
    labelled = [min(sizes)]
    for n in (max(sizes) // 4, max(sizes) // 2, max(sizes)):  # as far as there is room for labels
        if n and 1 / labelled[-1] - 1 / n > 0.14 * x.max() and 1 / n > 0.1 * x.max():
            labelled.append(n)
    ax.set_xticks([0, *(1 / n for n in labelled)], ["∞", *(f"{n:,}" for n in labelled)])
    legend(ax, loc="lower right")
    return dress(ax, title=title, x="images (axis in 1 / N)", y="FID", grid="both")
