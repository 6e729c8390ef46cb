"""Plots of images: a grid of samples, images with their nearest training images, duplicates.

Shape legend: N images, H rows, W columns, C channels (1 or 3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bench.plots.palette import INK

GAP_PX = 2
CAPTION_PT = 7


def contact_sheet(
    images_NHWC: NDArray[np.uint8], columns: int, *, full_width: bool = False
) -> NDArray[np.uint8]:
    """Return the images row by row as one picture with transparent gaps, uint8 H,W,4.

    With `full_width` the picture is as wide as `columns` images even when there are fewer. Raises
    `ValueError` without images, or when they have neither 1 nor 3 channels.

    >>> contact_sheet(np.zeros((3, 28, 28, 1), np.uint8), 2).shape
    (58, 58, 4)
    """
    n, height, width, channels = images_NHWC.shape
    if not n or channels not in (1, 3):
        raise ValueError(f"expected images N,H,W,C with C 1 or 3, got {images_NHWC.shape}")
    columns = columns if full_width else min(columns, n)
    rows = -(-n // columns)
    step_y, step_x = height + GAP_PX, width + GAP_PX
    sheet = np.zeros((rows * step_y - GAP_PX, columns * step_x - GAP_PX, 4), np.uint8)
    for position, image in enumerate(images_NHWC):
        top, left = position // columns * step_y, position % columns * step_x
        sheet[top : top + height, left : left + width, :3] = image
        sheet[top : top + height, left : left + width, 3] = 255
    return sheet


def pair_sheet(
    upper_NHWC: NDArray[np.uint8],
    lower_NHWC: NDArray[np.uint8],
    columns: int,
    *,
    full_width: bool = False,
) -> NDArray[np.uint8]:
    """Return pairs of images, one above the other, as one picture; see `contact_sheet`."""
    if upper_NHWC.shape != lower_NHWC.shape:
        raise ValueError(f"pairs need equal shapes, got {upper_NHWC.shape} and {lower_NHWC.shape}")
    pairs = np.concatenate([upper_NHWC, lower_NHWC], axis=1)
    return contact_sheet(pairs, columns, full_width=full_width)


def plot_images(
    images_NHWC: NDArray[np.uint8],
    *,
    ax: Axes,
    title: str = "",
    columns: int = 8,
    captions: Sequence[str] = (),
) -> Axes:
    """Draw images in a grid, row by row, each with a caption if captions are given."""
    return _plot_sheet(
        contact_sheet(images_NHWC, columns),
        images_NHWC.shape[1:3],
        ax=ax,
        title=title,
        columns=min(columns, len(images_NHWC)),
        captions=captions,
    )


def plot_pairs(
    images_NHWC: NDArray[np.uint8],
    training_NHWC: NDArray[np.uint8],
    distances_N: NDArray[np.floating],
    *,
    ax: Axes,
    title: str = "",
    columns: int = 8,
) -> Axes:
    """Draw images of the folder above their nearest training images, with the distances."""
    _, height, width, _ = images_NHWC.shape
    return _plot_sheet(
        pair_sheet(images_NHWC, training_NHWC, columns),
        (2 * height, width),
        ax=ax,
        title=title,
        columns=min(columns, len(images_NHWC)),
        captions=[f"{distance:.3g}" for distance in distances_N],
    )


def plot_duplicates(
    images_NHWC: NDArray[np.uint8],
    sizes: NDArray[np.integer],
    *,
    ax: Axes,
    columns: int = 8,
) -> Axes:
    """Draw images of the largest group of near duplicates; `sizes` lists all groups in order."""
    groups = "1 group" if len(sizes) == 1 else f"{len(sizes)} groups"
    title = f"{groups} of near duplicates, the largest has {sizes[0]} images"
    return plot_images(images_NHWC, ax=ax, title=title, columns=columns)


def _plot_sheet(
    sheet: NDArray[np.uint8],
    size: tuple[int, ...],
    *,
    ax: Axes,
    title: str,
    columns: int,
    captions: Sequence[str],
) -> Axes:
    ax.imshow(sheet, interpolation="none")
    height, width = size
    for position, caption in enumerate(captions):
        row, column = divmod(position, columns)
        ax.text(
            column * (width + GAP_PX) + width / 2,
            row * (height + GAP_PX) + height - 1,
            caption,
            ha="center",
            va="bottom",
            fontsize=CAPTION_PT,
            color=INK,
            parse_math=False,
            bbox={"facecolor": "white", "alpha": 0.8, "pad": 0.6, "linewidth": 0},
        )
    ax.set_axis_off()
    if title:
        ax.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold", parse_math=False)
    return ax
