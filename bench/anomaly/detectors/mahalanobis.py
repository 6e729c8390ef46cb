"""Mahalanobis distance to the mean of the normal images, of raw pixels or of features.

    score(x) = (x - mu)^T S^-1 (x - mu),   S = (1 - s) C + s (tr C / D) I

The covariance of pixels is singular (the margin is always black), so C is shrunk towards a multiple
of the identity by the closed form of Ledoit and Wolf (J. Multivariate Analysis 2004), which has no
parameter to tune. With S = V L V^T the score is the squared length of (x - mu) V L^-1/2: one
product in float64. With fewer images than pixels, C has at most N directions. The part of x outside
them is weighted by s (tr C / D) alone, and no D,D matrix is formed. C is 1/N times the centred sum
of squares.

Shrinkage and scores agree with scikit-learn's `LedoitWolf` to 1e-9 relative. The last digits of a
score (1e-12 relative) depend on the batch, as in any matrix product.

Shape legend: N normal images, M scored ones, D pixels or features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.anomaly.detectors.base import (
    DetectorRow,
    DetectorSettings,
    Option,
    options_of,
    require_fitted,
)
from bench.anomaly.detectors.spectrum import Spectrum
from bench.anomaly.detectors.vectors import FeatureReader, PixelReader, VectorDetector
from bench.errors import InputError

BLOCK = 1024  # rows turned to float64 at a time
SOURCE = "Mahalanobis 1936; shrinkage: Ledoit and Wolf 2004"


class Whitening(NamedTuple):
    """Mean (float64 D), axes (float64 R,D) with the variances along them (float64 R), and the
    single variance outside them, None when they span the whole space.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    variances: NDArray[np.float64]
    across: float | None
    shrinkage: float

    def squared_lengths(self, f_MD: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return float64 M: squared lengths of the rows minus the mean, in units of the shrunk
        covariance.
        """
        centred = f_MD - self.mean
        along = centred @ self.axes.T
        found: NDArray[np.float64] = np.square(along) @ (1 / self.variances)
        if self.across is not None:
            rest = centred - along @ self.axes
            found += np.einsum("md,md->m", rest, rest) / self.across
        return found


def ledoit_wolf(f_ND: NDArray[np.float32], spectrum: Spectrum) -> float:
    """Return the weight of the multiple of the identity, in [0, 1], from the rows and their
    spectrum.
    """
    n, dim = f_ND.shape
    squared = float(np.square(spectrum.values / n).sum())
    trace = float(spectrum.values.sum()) / n
    spread = squared - trace**2 / dim  # |C - (tr C / D) I|^2
    if spread <= 0:
        return 1.0
    fourth = 0.0  # sum of |x_i - mu|^4
    for start in range(0, n, BLOCK):
        block = f_ND[start : start + BLOCK] - spectrum.mean
        fourth += float(np.square(np.einsum("nd,nd->n", block, block)).sum())
    share: float = min(max((fourth / n - squared) / n, 0.0) / spread, 1.0)
    return share


def whitening_of(f_ND: NDArray[np.float32], name: str) -> Whitening:
    """Return the whitening of the rows. Raises `InputError` when all rows are equal."""
    spectrum = Spectrum.of(f_ND, name)
    n, dim = f_ND.shape
    mean_variance = float(spectrum.values.sum()) / dim / n
    if mean_variance <= 0:
        raise InputError(
            f"{name}: the {len(f_ND)} normal images are all equal; there is no spread to measure by"
        )
    shrinkage = ledoit_wolf(f_ND, spectrum)
    shrunk_R = (1 - shrinkage) * spectrum.values / n + shrinkage * mean_variance
    # without any shrinkage directions without variance would count infinitely
    floor = float(shrunk_R.max()) * dim * np.finfo(np.float64).eps
    across = max(shrinkage * mean_variance, floor) if len(shrunk_R) < dim else None
    return Whitening(spectrum.mean, spectrum.axes, shrunk_R.clip(min=floor), across, shrinkage)


class Mahalanobis:
    """Squared distance to the mean in units of the shrunk covariance."""

    at_least = 2

    def __init__(self, name: str) -> None:
        self.name = name
        self.whitening: Whitening | None = None

    def fit(self, f_ND: NDArray[np.float32]) -> None:
        """Compute mean, covariance and its shrinkage."""
        self.whitening = whitening_of(f_ND, self.name)

    def chosen(self) -> dict[str, Option]:
        return {} if self.whitening is None else {"shrinkage": self.whitening.shrinkage}

    def scores(self, f_MD: NDArray[np.float32]) -> NDArray[np.float64]:
        whitening = require_fitted(self.whitening, self.name)
        scores = np.empty(len(f_MD))
        for start in range(0, len(f_MD), BLOCK):
            block = slice(start, start + BLOCK)
            scores[block] = whitening.squared_lengths(f_MD[block])
        if not np.isfinite(scores).all():
            raise InputError(f"{self.name}: vectors that are not finite, or too far away to square")
        return scores


def _on_pixels(settings: DetectorSettings) -> VectorDetector:
    name = "mahalanobis-pixels"
    options_of(settings, name, {})
    return VectorDetector(PixelReader(name), Mahalanobis(name))


def _on_features(settings: DetectorSettings) -> VectorDetector:
    name = "mahalanobis-features"
    options_of(settings, name, {})
    return VectorDetector(FeatureReader(settings.extractor, settings.device), Mahalanobis(name))


def _on_hog(settings: DetectorSettings) -> VectorDetector:
    name = "mahalanobis-hog"
    options_of(settings, name, {})
    return VectorDetector(FeatureReader("hog", settings.device), Mahalanobis(name))


MAHALANOBIS_PIXELS = DetectorRow(
    name="mahalanobis-pixels",
    title="Mahalanobis distance to the mean, raw pixels, Ledoit-Wolf covariance",
    source=SOURCE,
    make=_on_pixels,
)
MAHALANOBIS_HOG = DetectorRow(
    name="mahalanobis-hog",
    title="Mahalanobis distance to the mean, histograms of oriented gradients",
    source=f"{SOURCE}; features: Dalal & Triggs 2005",
    make=_on_hog,
    constants={"features": "hog"},
)
MAHALANOBIS_FEATURES = DetectorRow(
    name="mahalanobis-features",
    title="Mahalanobis distance to the mean, features of an extractor",
    source=SOURCE,
    make=_on_features,
    reads="features",
    labels="outside",
)
