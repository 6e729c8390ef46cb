"""Kernel density of the normal images: the score is minus its logarithm.

    p(x) = sum_i exp(-|x - x_i|^2 / 2 h^2) / (N (2 pi h^2)^(C/2))

`kde` uses pixels in [0, 1] in the principal components that keep 95 % of the variance. The
bandwidth h is the one of 2^-4.5, 2^-4, ..., 2^5 with the largest log-likelihood of left-out images
in five folds of neighbouring images (grid, folds and raw contrast as in the code of Ruff et al.,
ICML 2018). Densities are exact sums in logarithms. scikit-learn's `KernelDensity` agrees from h = 1
on; below, its tree loses small densities to cancellation and may choose another bandwidth.

`kde-exponential` uses the kernel exp(-|x - x_i| / h) on all pixels, with h the largest squared
distance of two normal images, as that code has it for this kernel. A kernel this wide ranks by the
mean distance to the normal images. The published MNIST figures (mean 86.9) belong to this kernel,
class by class, and not to a Gaussian kernel with a chosen bandwidth.

Options: `bandwidth` (0: as described), `variance` (1: all pixels), `contrast` (1: global contrast
normalisation, see `bench.anomaly.detectors.components`).

Shape legend: N normal images, M scored ones, C components.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.anomaly.detectors.base import (
    DetectorRow,
    DetectorSettings,
    Option,
    options_of,
    require_fitted,
    require_range,
)
from bench.anomaly.detectors.components import VARIANCE, Preparation, preparation_of
from bench.anomaly.detectors.vectors import PixelReader, VectorDetector

F64 = NDArray[np.float64]

BANDWIDTHS = tuple(2.0 ** (half / 2) for half in range(-9, 11))
FOLDS = 5
BOUNDS = 1e-6, 1e9  # of a bandwidth that is given: its square and its powers stay finite
BLOCK_ENTRIES = 1 << 20  # distances of a block: 8 MiB
SOURCE = "Parzen 1962; protocol: Ruff et al. 2018"


def squared_distances(x_MC: F64, y_NC: F64) -> F64:
    """Return squared distances, float64 M,N, never negative."""
    squared = (-2 * x_MC) @ y_NC.T
    squared += np.einsum("mc,mc->m", x_MC, x_MC)[:, None]
    squared += np.einsum("nc,nc->n", y_NC, y_NC)
    return np.maximum(squared, 0, out=squared)


def largest_squared_distance(x_NC: F64) -> float:
    """Return the largest squared distance of two rows."""
    step = max(1, BLOCK_ENTRIES // len(x_NC))
    blocks = (x_NC[start : start + step] for start in range(0, len(x_NC), step))
    return max(float(squared_distances(block, x_NC).max()) for block in blocks)


class Kernel(NamedTuple):
    """A kernel. `log_values` maps squared distances and a bandwidth to logarithms of the kernel in
    a new array, `log_volume` maps a number of dimensions and a bandwidth to the logarithm of its
    integral, and `choose` takes the bandwidth from the normal images.
    """

    log_values: Callable[[F64, float], F64]
    log_volume: Callable[[int, float], float]
    choose: Callable[[F64], float]


def log_sums(exponents_MN: F64) -> F64:
    """Return log sum exp of each row without underflow, so that distant rows stay finite.
    Overwrites its argument.
    """
    top_M = exponents_MN.max(axis=1)
    exponents_MN -= top_M[:, None]
    np.exp(exponents_MN, out=exponents_MN)
    sums: F64 = np.log(exponents_MN.sum(axis=1)) + top_M
    return sums


def _gaussian(squared_MN: F64, bandwidth: float) -> F64:
    return squared_MN * (-0.5 / bandwidth**2)


def _gaussian_volume(dim: int, bandwidth: float) -> float:
    return dim * (math.log(bandwidth) + 0.5 * math.log(2 * math.pi))


def _exponential(squared_MN: F64, bandwidth: float) -> F64:
    exponents: F64 = np.sqrt(squared_MN)
    exponents *= -1 / bandwidth
    return exponents


def _exponential_volume(dim: int, bandwidth: float) -> float:
    sphere = math.log(2) + dim / 2 * math.log(math.pi) - math.lgamma(dim / 2)
    return dim * math.log(bandwidth) + math.lgamma(dim) + sphere


def likeliest_bandwidth(x_NC: F64, bandwidths: tuple[float, ...] = BANDWIDTHS) -> float:
    """Return the bandwidth with the largest log-likelihood of left-out rows, summed over at most 5
    folds of neighbouring rows; the narrower of two equal ones.
    """
    rows = np.arange(len(x_NC))
    likelihoods = np.zeros(len(bandwidths))
    for fold in np.array_split(rows, min(FOLDS, len(rows))):
        rest = np.delete(x_NC, fold, axis=0)
        norms = [math.log(len(rest)) + _gaussian_volume(x_NC.shape[1], h) for h in bandwidths]
        step = max(1, BLOCK_ENTRIES // len(rest))
        for start in range(0, len(fold), step):
            block = fold[start : start + step]
            squared = squared_distances(x_NC[block], rest)
            likelihoods += [
                float(log_sums(_gaussian(squared, h)).sum()) - len(block) * norm
                for h, norm in zip(bandwidths, norms, strict=True)
            ]
    return bandwidths[int(likelihoods.argmax())]


GAUSSIAN = Kernel(_gaussian, _gaussian_volume, likeliest_bandwidth)
EXPONENTIAL = Kernel(_exponential, _exponential_volume, largest_squared_distance)


class _Fitted(NamedTuple):
    rows: F64
    bandwidth: float


class KernelDensity:
    """A model of `VectorDetector`. A `bandwidth` of 0 is chosen by the fit."""

    at_least = 2

    def __init__(
        self, name: str, kernel: Kernel, preparation: Preparation, bandwidth: float
    ) -> None:
        self.name = name
        self._kernel = kernel
        self._prepared = preparation
        self._wanted = bandwidth
        self.fitted: _Fitted | None = None

    def fit(self, f_ND: NDArray[np.float32]) -> None:
        """Store the prepared images and choose the bandwidth."""
        x_NC = self._prepared.fit(f_ND)
        self.fitted = _Fitted(x_NC, self._wanted or self._kernel.choose(x_NC))

    def chosen(self) -> dict[str, Option]:
        return {} if self.fitted is None else {"bandwidth": self.fitted.bandwidth}

    def scores(self, f_MD: NDArray[np.float32]) -> F64:
        x_NC, bandwidth = require_fitted(self.fitted, self.name)
        norm = math.log(len(x_NC)) + self._kernel.log_volume(x_NC.shape[1], bandwidth)
        scores = np.empty(len(f_MD))
        step = max(1, BLOCK_ENTRIES // len(x_NC))
        for start in range(0, len(f_MD), step):
            block = slice(start, start + step)
            squared = squared_distances(self._prepared(f_MD[block]), x_NC)
            scores[block] = norm - log_sums(self._kernel.log_values(squared, bandwidth))
        return scores


CHOSEN: dict[str, Option] = {"bandwidth": 0.0, "variance": VARIANCE, "contrast": 0}
PUBLISHED: dict[str, Option] = {"bandwidth": 0.0, "variance": 1.0, "contrast": 0}


def _detector(
    settings: DetectorSettings, name: str, kernel: Kernel, defaults: dict[str, Option]
) -> VectorDetector:
    options = options_of(settings, name, defaults)
    bandwidth = float(options["bandwidth"])
    if bandwidth:
        require_range(name, "bandwidth", bandwidth, *BOUNDS)
    model = KernelDensity(name, kernel, preparation_of(name, options), bandwidth)
    return VectorDetector(PixelReader(name), model, options)


KDE = DetectorRow(
    name="kde",
    title="Gaussian kernel density in principal components, bandwidth by cross-validation",
    source=SOURCE,
    make=lambda settings: _detector(settings, "kde", GAUSSIAN, CHOSEN),
    constants={"variance": VARIANCE, "folds": FOLDS},
)
KDE_EXPONENTIAL = DetectorRow(
    name="kde-exponential",
    title="density with a very wide exponential kernel, raw pixels: ranks by mean distance",
    source=SOURCE,
    make=lambda settings: _detector(settings, "kde-exponential", EXPONENTIAL, PUBLISHED),
)
