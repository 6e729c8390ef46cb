"""Statistics of single images: levels, sharpness, noise, specks and traces of JPEG.

All are computed from the luma in grey levels. None means anything by itself: they are compared
with the same statistics of real images of the same size.

    mean, sd      of the pixels
    black, white  share of pixels at level 2 or below, and at 253 or above
    sharpness     log of the energy of second differences over that of first differences: fine
                  against coarse detail, independent of the contrast
    noise         sd of pixel noise in flat parts: the 30 % quantile of the response to Immerkaer's
                  mask (1996; [[1,-2,1],[-2,4,-2],[1,-2,1]], sd 6 for noise of sd 1), divided by
                  that quantile for normal noise of sd 1
    specks        share of pixels that differ by 48 or more from all four neighbours
    lossy         share of small coefficients (below 1) of high frequency in 8x8 cosine blocks on
                  JPEG's grid, minus that on three grids moved by 4 px. Quantisation leaves this
                  trace; blocks of 2 or 4 px from another source do not

Shape legend: n images, H rows, W columns, S statistics, B blocks of an image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STATISTICS = ("mean", "sd", "black", "white", "sharpness", "noise", "specks", "lossy")
BLACK, WHITE = 2, 253
SPECK = 48
NOISE_QUANTILE = 0.3
HALF_NORMAL = 0.38532  # the 30 % quantile of |z|, z standard normal
BLOCK_PX = 8
MIN_LOSSY_PX = 16  # two blocks
SMALL = 1.0
ACTIVE = 16.0  # a block without a coefficient above this is flat and is ignored

F32 = NDArray[np.float32]


def image_statistics(luma_nHW: NDArray[np.uint8]) -> F32:
    """Return the statistics of images (uint8 n,H,W), float32 n,S in the order of `STATISTICS`.

    `lossy` is NaN below 16 px a side and for an image of flat blocks only; `sharpness`, `noise`
    and `specks` are NaN below 3 px.
    """
    n, height, width = luma_nHW.shape
    out = np.full((n, len(STATISTICS)), np.nan, np.float32)
    if not n:
        return out
    flat = luma_nHW.reshape(n, -1)
    out[:, 0] = flat.mean(axis=1)
    out[:, 1] = flat.std(axis=1, dtype=np.float32)
    out[:, 2] = (flat <= BLACK).mean(axis=1)
    out[:, 3] = (flat >= WHITE).mean(axis=1)
    if min(height, width) >= 3:
        levels = luma_nHW.astype(np.int16)
        out[:, 4] = _sharpness(levels)
        out[:, 5] = _noise(levels)
        out[:, 6] = _specks(levels)
    if min(height, width) >= MIN_LOSSY_PX:
        out[:, 7] = _lossy(luma_nHW)
    return out


def _energy(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean square of each image."""
    flat = x.reshape(len(x), -1)
    return np.asarray(np.einsum("ij,ij->i", flat, flat) / flat.shape[1], np.float64)


def _sharpness(levels: NDArray[np.int16]) -> NDArray[np.float64]:
    x = levels.astype(np.float32)
    first = _energy(np.diff(x, axis=1)) + _energy(np.diff(x, axis=2))
    inner = x[:, 1:-1, 1:-1]
    second = 4 * inner - x[:, :-2, 1:-1] - x[:, 2:, 1:-1] - x[:, 1:-1, :-2] - x[:, 1:-1, 2:]
    return np.asarray(np.log((_energy(second) + 1) / (first + 1)))


def _noise(levels: NDArray[np.int16]) -> F32:
    rows = levels[:, :-2] - 2 * levels[:, 1:-1] + levels[:, 2:]
    response = rows[:, :, :-2] - 2 * rows[:, :, 1:-1] + rows[:, :, 2:]
    size = np.abs(response).reshape(len(levels), -1)
    place = int(NOISE_QUANTILE * size.shape[1])
    quantile = np.partition(size, place, axis=1)[:, place]
    return np.asarray(quantile / (6 * HALF_NORMAL), np.float32)


def _specks(levels: NDArray[np.int16]) -> NDArray[np.float64]:
    inner = levels[:, 1:-1, 1:-1]
    up, down = levels[:, :-2, 1:-1], levels[:, 2:, 1:-1]
    left, right = levels[:, 1:-1, :-2], levels[:, 1:-1, 2:]
    most = np.maximum(np.maximum(up, down), np.maximum(left, right))
    least = np.minimum(np.minimum(up, down), np.minimum(left, right))
    stands_out = (inner - most >= SPECK) | (least - inner >= SPECK)
    return np.asarray(stands_out.mean(axis=(1, 2)))


def _cosines() -> F32:
    """Return the orthonormal cosine transform of 8 points."""
    k, x = np.mgrid[:BLOCK_PX, :BLOCK_PX]
    rows = np.cos(np.pi * (x + 0.5) * k / BLOCK_PX) * (2 / BLOCK_PX) ** 0.5
    rows[0] /= 2**0.5
    return np.asarray(rows, np.float32)


_COSINES = _cosines()
_HIGH = np.add.outer(np.arange(BLOCK_PX), np.arange(BLOCK_PX)).ravel() >= 6


def _small_share(luma_nHW: NDArray[np.uint8], top: int, left: int) -> NDArray[np.float64]:
    """Return each image's share of small coefficients, over the blocks of one grid that are not
    flat; NaN if there are none.
    """
    n, height, width = luma_nHW.shape
    down, across = (height - top) // BLOCK_PX, (width - left) // BLOCK_PX
    cut = luma_nHW[:, top : top + down * BLOCK_PX, left : left + across * BLOCK_PX]
    blocks = cut.reshape(n, down, BLOCK_PX, across, BLOCK_PX).swapaxes(2, 3)
    x = blocks.reshape(-1, BLOCK_PX * BLOCK_PX).astype(np.float32)
    size = np.abs(x @ np.kron(_COSINES, _COSINES).T)
    active = (size[:, 1:] > ACTIVE).any(axis=1).reshape(n, -1)
    small = (size[:, _HIGH] < SMALL).mean(axis=1).reshape(n, -1)
    num_active = active.sum(axis=1)
    share = np.full(n, np.nan)
    some = num_active > 0
    share[some] = (small * active).sum(axis=1)[some] / num_active[some]
    return share


def _lossy(luma_nHW: NDArray[np.uint8]) -> NDArray[np.float64]:
    half = BLOCK_PX // 2
    moved = [_small_share(luma_nHW, *place) for place in ((half, half), (0, half), (half, 0))]
    return np.asarray(_small_share(luma_nHW, 0, 0) - np.mean(moved, axis=0))
