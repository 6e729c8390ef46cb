"""Detect a checkerboard pattern in samples by their mean spectrum.

A transposed convolution of stride 2 with an odd kernel covers even and odd pixels unevenly (Odena
et al. 2016). The result is a pattern of period 2: power at the highest frequency of rows or
columns. Natural spectra fall with frequency and have no peak there.

Shape legend: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TINY = 1e-12


def mean_spectrum(images: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the mean power over images and channels of N,H,W,C, after subtracting each image's
    mean: H,W in the layout of `numpy.fft.fft2`.
    """
    x = images.astype(np.float64)
    x -= x.mean(axis=(1, 2), keepdims=True)
    power: NDArray[np.float64] = np.square(np.abs(np.fft.fft2(x, axes=(1, 2)))).mean(axis=(0, 3))
    return power


def checkerboard_ratio(images: NDArray[np.generic]) -> float:
    """Return the power at the highest frequency divided by the power one step below it.

    The images are N,H,W,C with even sides. The result is the geometric mean over rows and columns;
    without a checkerboard it is at most about 1.

    >>> noise = np.random.default_rng(0).normal(size=(100, 8, 8, 1))
    >>> board = np.indices((8, 8)).sum(0)[None, :, :, None] % 2
    >>> checkerboard_ratio(noise) < 1.2, checkerboard_ratio(noise + board) > 2
    (True, True)
    """
    power = mean_spectrum(images)
    height, width = power.shape
    rows = power[height // 2].mean() / (power[height // 2 - 1].mean() + TINY)
    columns = power[:, width // 2].mean() / (power[:, width // 2 - 1].mean() + TINY)
    return float(np.sqrt(rows * columns))
