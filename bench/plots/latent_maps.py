"""Pictures of what codes say about images: a map coloured by class or by a variation, the nearest
images of a few queries, reconstructions below their images.

Shape legend: N images, Q queries, k neighbours, H rows, W columns, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from bench.plots.images import GAP_PX, contact_sheet, pair_sheet
from bench.plots.palette import INK, MARKERS, MUTED, OKABE_ITO, dress, legend

WRONG = OKABE_ITO[1]
SEPARATION_PX = 6  # between a query and its neighbours
COLOURS = (*OKABE_ITO, "#7A3B00")  # ten classes are the most frequent number
MAX_NAMED = 20  # classes with their own colour and marker


def plot_latent_map(
    placed_N2: NDArray[np.floating],
    labels_N: NDArray[np.integer] | None,
    *,
    ax: Axes,
    title: str = "",
    class_names: Sequence[str] = (),
) -> Axes:
    """Draw codes on a map, a colour and marker for each class, its name at its median.

    Axes have no numbers, because only nearness has a meaning on most maps. Without labels, and
    with more than 20 classes, all points look the same.
    """
    classes = [] if labels_N is None else np.unique(labels_N).tolist()
    if labels_N is None or len(classes) > MAX_NAMED:
        ax.scatter(
            placed_N2[:, 0], placed_N2[:, 1], s=6, color=OKABE_ITO[0], alpha=0.6, linewidths=0
        )
        return _without_numbers(ax, title)
    for place, label in enumerate(classes):
        points = placed_N2[labels_N == label]
        name = str(class_names[label]) if label < len(class_names) else str(label)
        colour = COLOURS[place % len(COLOURS)]
        ax.scatter(
            points[:, 0],
            points[:, 1],
            s=9,
            color=colour,
            marker=MARKERS[place % len(MARKERS)],
            alpha=0.65,
            linewidths=0,
            label=name,
        )
        ax.annotate(
            name,
            np.median(points, axis=0).tolist(),
            ha="center",
            va="center",
            fontsize=9,
            fontweight="bold",
            color="#1C2430",
            parse_math=False,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )
    legend(ax, beside=True)
    return _without_numbers(ax, title)


def plot_variation_map(
    placed_N2: NDArray[np.floating],
    variation_N: NDArray[np.floating],
    *,
    ax: Axes,
    title: str = "",
    unit: str = "",
) -> Axes:
    """Draw codes on a map, coloured by a number such as the rotation of the image."""
    x, y = placed_N2[:, 0], placed_N2[:, 1]
    dots = ax.scatter(x, y, s=9, c=variation_N, cmap="viridis", alpha=0.8, linewidths=0)
    bar = ax.figure.colorbar(dots, ax=ax, shrink=0.8)
    bar.set_label(unit, fontsize=9, color=INK)
    bar.ax.tick_params(colors=INK, labelsize=8)
    bar.outline.set_visible(False)
    return _without_numbers(ax, title)


def _without_numbers(ax: Axes, title: str) -> Axes:
    dress(ax, title=title, grid="")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[["top", "right"]].set_visible(True)
    for spine in ax.spines.values():
        spine.set_color(MUTED)
    return ax


def plot_neighbour_rows(
    queries_QHWC: NDArray[np.uint8],
    neighbours_QkHWC: NDArray[np.uint8],
    agrees_Qk: NDArray[np.bool_] | None = None,
    *,
    ax: Axes,
    title: str = "",
) -> Axes:
    """Draw each query at the left of its nearest images, nearest first.

    Neighbours where `agrees` is false (of another class) have a frame. Raises `ValueError` unless
    the shapes fit.
    """
    num, k = neighbours_QkHWC.shape[:2]
    if neighbours_QkHWC.shape != (num, k, *queries_QHWC.shape[1:]) or len(queries_QHWC) != num:
        raise ValueError(
            f"queries {queries_QHWC.shape} and neighbours {neighbours_QkHWC.shape} do not fit"
        )
    height, width = queries_QHWC.shape[1:3]
    left = contact_sheet(queries_QHWC, 1)
    right = contact_sheet(neighbours_QkHWC.reshape(-1, *queries_QHWC.shape[1:]), k)
    gap = np.zeros((len(left), SEPARATION_PX, 4), np.uint8)
    ax.imshow(np.concatenate([left, gap, right], axis=1), interpolation="none")
    if agrees_Qk is not None:
        for row, column in np.argwhere(~agrees_Qk):
            corner = (
                width + SEPARATION_PX + column * (width + GAP_PX) - 0.5,
                row * (height + GAP_PX) - 0.5,
            )
            ax.add_patch(
                Rectangle(corner, width, height, fill=False, edgecolor=WRONG, linewidth=1.6)
            )
    ax.set_axis_off()
    if title:
        ax.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold", parse_math=False)
    return ax


def plot_reconstructions(
    images_NHWC: NDArray[np.uint8],
    made_NHWC: NDArray[np.uint8],
    *,
    ax: Axes,
    title: str = "",
    columns: int = 10,
) -> Axes:
    """Draw images above their reconstructions."""
    ax.imshow(pair_sheet(images_NHWC, made_NHWC, columns), interpolation="none")
    ax.set_axis_off()
    if title:
        ax.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold", parse_math=False)
    return ax
