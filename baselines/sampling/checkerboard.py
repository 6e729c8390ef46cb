"""Does a folder of samples carry a checkerboard? Its mean spectrum tells.

A transposed convolution of stride 2 whose kernel 2 does not divide covers even and odd pixels
unevenly (Odena et al. 2016): a pattern of period 2, power at the highest frequency of rows or
columns. Natural spectra fall with frequency and have no peak there.

Shape legend: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TINY = 1e-12


def mean_spectrum(images: NDArray[np.generic]) -> NDArray[np.float64]:
    """Mean power over images and channels of N,H,W,C, each image's mean taken off: H,W, as
    `numpy.fft.fft2` lays it out.
    """
    x = images.astype(np.float64)
    x -= x.mean(axis=(1, 2), keepdims=True)
    power: NDArray[np.float64] = np.square(np.abs(np.fft.fft2(x, axes=(1, 2)))).mean(axis=(0, 3))
    return power


def checkerboard_ratio(images: NDArray[np.generic]) -> float:
    """Power at the highest frequency over power one step below it, for N,H,W,C with even sides.

    Geometric mean over rows and columns; at most about 1 without a checkerboard.
    """
    power = mean_spectrum(images)
    height, width = power.shape
    rows = power[height // 2].mean() / (power[height // 2 - 1].mean() + TINY)
    columns = power[:, width // 2].mean() / (power[:, width // 2 - 1].mean() + TINY)
    return float(np.sqrt(rows * columns))
