"""Pictures of latent spaces: rows of images with names, sheets, and equations.

Shape legend: R rows, T images of a row, H,W,C an image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bench.plots.images import GAP_PX, contact_sheet
from bench.plots.palette import INK, MUTED

Images = NDArray[np.uint8]


def plot_rows(
    rows: Sequence[Images],
    *,
    ax: Axes,
    names: Sequence[str] = (),
    captions: Sequence[str] = (),
    title: str = "",
    gap_after: Sequence[int] = (),
) -> Axes:
    """Draw rows of images, uint8 T,H,W,C each, with a name at the left of each row.

    Rows may differ in length. `captions` stand below the columns. A wider gap follows the rows in
    `gap_after`. Raises `ValueError` without rows.
    """
    if not rows:
        raise ValueError("expected at least one row of images")
    height, width = rows[0].shape[1:3]
    columns = max(len(row) for row in rows)
    gap = height // 3
    top, middles, sheets = 0, [], []
    for number, row in enumerate(rows):
        sheet = contact_sheet(row, columns, full_width=True)
        sheets.append((top, sheet))
        middles.append(top + height / 2)
        top += height + GAP_PX + (gap if number in gap_after else 0)
    whole = np.zeros((top - GAP_PX, columns * (width + GAP_PX) - GAP_PX, 4), np.uint8)
    for start, sheet in sheets:
        whole[start : start + height] = sheet[: len(whole) - start]
    ax.imshow(whole, interpolation="none")
    centres = [column * (width + GAP_PX) + width / 2 for column in range(len(captions))]
    _label(ax, (middles[: len(names)], names), (centres, captions))
    return _titled(ax, title)


def _label(
    ax: Axes,
    rows: tuple[Sequence[float], Sequence[str]],
    columns: tuple[Sequence[float], Sequence[str]],
) -> None:
    """Write names beside rows and captions below columns, as labels of ticks without marks."""
    ax.set_yticks(rows[0], labels=rows[1])
    ax.set_xticks(columns[0], labels=columns[1])
    ax.tick_params(axis="y", length=0, labelsize=8, labelcolor=INK)
    ax.tick_params(axis="x", length=0, labelsize=7, labelcolor=MUTED)
    ax.spines[:].set_visible(False)
    ax.set_facecolor("none")


def _titled(ax: Axes, title: str) -> Axes:
    if title:
        ax.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold", parse_math=False)
    return ax


def plot_sheet(
    images: Images, columns: int, *, ax: Axes, title: str = "", x: str = "", y: str = ""
) -> Axes:
    """Draw a sheet of images without gaps between them, uint8 N,H,W,C, row by row: a decoded grid
    of codes. `x` and `y` name what changes along its sides.
    """
    num, height, width, channels = images.shape
    rows = -(-num // columns)
    sheet = np.zeros((rows * height, columns * width, channels), np.uint8)
    for place, image in enumerate(images):
        top, left = place // columns * height, place % columns * width
        sheet[top : top + height, left : left + width] = image
    ax.imshow(sheet[..., 0] if channels == 1 else sheet, cmap="gray", interpolation="none")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel(x, fontsize=8, color=INK)
    ax.set_ylabel(y, fontsize=8, color=INK)
    ax.spines[:].set_visible(False)
    return _titled(ax, title)


def plot_equations(
    rows: Sequence[Images],
    *,
    ax: Axes,
    names: Sequence[str] = (),
    captions: Sequence[str] = (),
    title: str = "",
) -> Axes:
    """Draw equations a - b + c = d, a row each: uint8 4,H,W,C. Each column has a caption."""
    height, width = rows[0].shape[1:3]
    step = round(1.7 * width)
    whole = np.zeros((len(rows) * (height + GAP_PX) - GAP_PX, 3 * step + width, 4), np.uint8)
    for number, row in enumerate(rows):
        top = number * (height + GAP_PX)
        for column, image in enumerate(row):
            left = column * step
            whole[top : top + height, left : left + width, :3] = image
            whole[top : top + height, left : left + width, 3] = 255
        for column, sign in enumerate("−+="):
            ax.text(
                column * step + (width + step) / 2, top + height / 2, sign, ha="center",
                va="center", fontsize=14, color=INK,
            )  # fmt: skip
    ax.imshow(whole, interpolation="none")
    middles = [number * (height + GAP_PX) + height / 2 for number in range(len(names))]
    centres = [column * step + width / 2 for column in range(len(captions))]
    _label(ax, (middles, names), (centres, captions))
    return _titled(ax, title)
