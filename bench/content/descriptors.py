"""Descriptors: the lowest Fourier coefficients of an image, and their distances under shifts.

The luma of an image is projected onto the real Fourier basis of frequencies 0 to 3 along each
axis; the mean is dropped and the other 48 numbers are scaled to length 1. The basis is
orthonormal, so the distance of two descriptors is the root mean square difference of the two
low-passed images after removing mean and contrast, in units of the contrast. Noise lies mostly
above these frequencies and moves a descriptor by little (a median of 0.02 for sd 8 on a digit).
Different images are far apart (the nearest of 60,000 other digits is at 0.25 in the median and at
0.05 at the least).

A shift by whole pixels rotates each pair of cosine and sine. That is exact for a shift that wraps
around, and hence for images with a uniform margin, so descriptors can be compared under shifts
without the pixels. The amplitudes of the frequencies do not change under a shift, and their
distance is never larger than that of the descriptors under any shift.

Shape legend: n images, H rows, W columns, F = 7 functions of one axis, D = 48, A = 24.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

MAX_FREQUENCY = 3
NUM_FUNCTIONS = 2 * MAX_FREQUENCY + 1
DIMENSIONS = NUM_FUNCTIONS**2 - 1
FLAT_RMS = 1.0  # grey levels; the descriptor of an image with less contrast is all zeros
STEP = 1 / 64  # of the int8 descriptors in a reference; rounding moves one by about 0.03

F32 = NDArray[np.float32]


@functools.cache
def _basis(size_px: int) -> F32:
    """Return orthonormal functions of one axis, F,size: 1, cos x, sin x, cos 2x, ...

    The period of x is `size_px`. An axis of fewer than 7 px cannot tell all of them apart; those
    it cannot are zero.
    """
    x = 2 * np.pi * np.arange(size_px) / size_px
    rows = [np.full(size_px, size_px**-0.5)]
    for k in range(1, MAX_FREQUENCY + 1):
        scale = (2 / size_px) ** 0.5 if 2 * k < size_px else 0.0
        rows += [np.cos(k * x) * scale, np.sin(k * x) * scale]
    return np.array(rows, np.float32)


def descriptors(luma_nHW: NDArray[np.uint8]) -> F32:
    """Return the descriptors of images, float32 n,D: of length 1, or zeros without contrast."""
    n, height, width = luma_nHW.shape
    half = luma_nHW.reshape(n * height, width).astype(np.float32) @ _basis(width).T
    along = half.reshape(n, height, NUM_FUNCTIONS)
    f_nD = np.matmul(_basis(height), along).reshape(n, NUM_FUNCTIONS**2)[:, 1:]
    length = np.sqrt((f_nD.astype(np.float64) ** 2).sum(axis=1))
    flat = length < FLAT_RMS * (height * width) ** 0.5
    length[flat] = np.inf
    return np.asarray(f_nD / length[:, None], np.float32)


def shifted(d_nD: F32, down_px: int, right_px: int, *, height: int, width: int) -> F32:
    """Return the descriptors (float32 n,D) that the images would have after a shift."""
    moved = _turn(down_px, height) @ _by_axis(d_nD) @ _turn(right_px, width).T
    return np.ascontiguousarray(moved.reshape(-1, NUM_FUNCTIONS**2)[:, 1:])


def _by_axis(d_nD: F32) -> F32:
    """Return the coefficients as float32 n,F,F, by function of each axis; the mean's is 0."""
    f_nFF = np.zeros((len(d_nD), NUM_FUNCTIONS, NUM_FUNCTIONS), np.float32)
    f_nFF.reshape(-1, NUM_FUNCTIONS**2)[:, 1:] = d_nD
    return f_nFF


@functools.cache
def _turn(shift_px: int, size_px: int) -> F32:
    """Return the matrix (F,F) of a shift along one axis: a rotation for each frequency."""
    turn = np.eye(NUM_FUNCTIONS)
    for k in range(1, MAX_FREQUENCY + 1):
        angle = 2 * np.pi * k * shift_px / size_px
        c, s = np.cos(angle), np.sin(angle)
        turn[2 * k - 1 : 2 * k + 1, 2 * k - 1 : 2 * k + 1] = [[c, -s], [s, c]]
    return turn.astype(np.float32)


def amplitudes(d_nD: F32) -> F32:
    """Return the length of every Fourier coefficient, float32 n,A, which no shift changes.

    The four products of cosine and sine at (k, l) hold two plane waves, (k, l) and (k, -l).
    """
    f = _by_axis(d_nD)
    cosine, sine = slice(1, None, 2), slice(2, None, 2)
    parts = [np.hypot(f[:, 0, cosine], f[:, 0, sine]), np.hypot(f[:, cosine, 0], f[:, sine, 0])]
    cc, ss = f[:, cosine, cosine], f[:, sine, sine]
    cs, sc = f[:, cosine, sine], f[:, sine, cosine]
    root = np.float32(0.5**0.5)
    waves = [np.hypot(cc - ss, cs + sc) * root, np.hypot(cc + ss, cs - sc) * root]
    waves = [wave.reshape(-1, MAX_FREQUENCY**2) for wave in waves]
    return np.concatenate(parts + waves, axis=1)


def packed(d_nD: F32) -> NDArray[np.int8]:
    """Return descriptors as int8 D,n in steps of `STEP`; this order compresses best."""
    return np.ascontiguousarray(np.rint(d_nD / STEP).astype(np.int8).T)


def unpacked(q_Dn: NDArray[np.int8]) -> F32:
    """Return packed descriptors as float32 n,D."""
    return np.ascontiguousarray(q_Dn.T).astype(np.float32) * np.float32(STEP)
