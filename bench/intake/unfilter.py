"""Undo PNG's row filters for many images of one shape at once.

Each byte x is stored as x minus a prediction from a (one pixel to the left), b (above) and c (above
left). The filters predict: None 0, Sub a, Up b, Average (a + b) // 2, Paeth whichever of a, b, c is
nearest to a + b - c, with ties in that order. A pixel needs only pixels of earlier diagonals x + y,
so one step undoes a whole diagonal of all images: w + h - 1 steps instead of w * h. The result
equals Pillow's (tests/intake/test_unfilter.py).

Source: PNG (third edition), W3C, section 9.2.

Shape legend: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]


def unfilter(stream_NHB: U8, channels: int) -> U8:
    """Return the pixels (uint8 N,H,W,C) of filtered scanlines (uint8 N,H,1 + W*C).

    The first byte of a scanline is its filter, 0 to 4.
    """
    n, height, stride = stream_NHB.shape
    width = (stride - 1) // channels
    filters_NH = stream_NHB[:, :, 0]
    pixels = stream_NHB[:, :, 1:].reshape(n, height, width, channels)
    filtered = filters_NH.any(axis=1)
    if filtered.all():
        return _undo_diagonals(pixels, filters_NH)
    pixels = pixels.copy()
    if filtered.any():
        pixels[filtered] = _undo_diagonals(pixels[filtered], filters_NH[filtered])
    return pixels


def _undo_diagonals(pixels: U8, filters_NH: U8) -> U8:
    n, height, width, channels = pixels.shape
    num_lanes = n * channels
    # One mask of 0 and 255 per filter type, H,N*C: a bitwise "and" selects the prediction.
    lanes = np.repeat(filters_NH.T, channels, axis=1)
    masks = {kind: (lanes == kind).astype(np.uint8) * 255 for kind in (1, 2, 3, 4)}
    present = [kind for kind, mask in masks.items() if mask.any()]
    # skewed[x + y + 2, y + 1] is pixel (y, x) of every lane; the margins are zeros.
    skewed = np.zeros((width + height + 1, height + 1, num_lanes), np.uint8)
    for y in range(height):
        row = pixels[:, y].transpose(1, 0, 2).reshape(width, num_lanes)
        skewed[y + 2 : y + 2 + width, y + 1] = row
    for diagonal in range(width + height - 1):
        low, high = max(0, diagonal - width + 1), min(height, diagonal + 1)
        a = skewed[diagonal + 1, low + 1 : high + 1]
        b = skewed[diagonal + 1, low:high]
        c = skewed[diagonal, low:high]
        target = skewed[diagonal + 2, low + 1 : high + 1]
        for kind in present:
            target += _predict(kind, a, b, c) & masks[kind][low:high]
    out = np.empty_like(pixels)
    for y in range(height):
        undone = skewed[y + 2 : y + 2 + width, y + 1].reshape(width, n, channels)
        out[:, y] = undone.transpose(1, 0, 2)
    return out


def _predict(kind: int, a: U8, b: U8, c: U8) -> U8:
    if kind == 1:
        return a
    if kind == 2:
        return b
    if kind == 3:
        return (a & b) + ((a ^ b) >> 1)  # floor of the mean, without a ninth bit
    a16, b16, c16 = a.astype(np.int16), b.astype(np.int16), c.astype(np.int16)
    from_a = b16 - c16
    from_b = a16 - c16
    from_c = np.abs(from_a + from_b)
    np.abs(from_a, out=from_a)
    np.abs(from_b, out=from_b)
    take_a = (from_a <= from_b) & (from_a <= from_c)
    return np.where(take_a, a, np.where(from_b <= from_c, b, c))
