"""Thumbnails: an image of up to 64 px a side is its own; a larger one is shrunk by area averaging.

Shape legend: n images, H W pixels, h w pixels of a thumbnail, C channels.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from bench.records.pictures_file import MAX_SIDE_PX


def thumbnail_px(height: int, width: int) -> tuple[int, int]:
    """Return height and width of an image's thumbnail, whose longer side has at most 64 px.

    >>> thumbnail_px(28, 28), thumbnail_px(512, 256)
    ((28, 28), (64, 32))
    """
    longer = max(height, width)
    if longer <= MAX_SIDE_PX:
        return height, width
    return max(1, height * MAX_SIDE_PX // longer), max(1, width * MAX_SIDE_PX // longer)


@functools.cache
def _areas(size: int, small: int) -> NDArray[np.float32]:
    """Return the weights that average `size` pixels to `small` ones: small,size; rows sum to 1."""
    edges = np.arange(small + 1) * (size / small)
    overlap = np.minimum(edges[1:, None], np.arange(1, size + 1)) - np.maximum(
        edges[:-1, None], np.arange(size)
    )
    return np.asarray(overlap.clip(0) * (small / size), np.float32)


def thumbnails(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the thumbnails (uint8 n,h,w,C) of images (uint8 n,H,W,C)."""
    n, height, width, channels = images.shape
    small = thumbnail_px(height, width)
    if small == (height, width):
        return images.copy()
    rows, columns = _areas(height, small[0]), _areas(width, small[1])
    planes = images.transpose(0, 3, 1, 2).astype(np.float32)
    shrunk = np.matmul(rows, planes) @ columns.T
    rounded = np.floor(shrunk + 0.5).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(rounded.reshape(n, channels, *small).transpose(0, 2, 3, 1))
