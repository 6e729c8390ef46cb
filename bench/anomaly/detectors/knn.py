"""Distance to the k-th nearest normal image, of raw pixels or of an extractor's features.

k = 5 is that of the metric `anomaly_auc`, so that one detector serves both; it was not chosen by
any score. `k=2` on raw MNIST pixels is the "2-NN" of other tables. Neighbours are exact, including
ties and near duplicates (`bench.statistics.neighbours`). The distance is the float64 sum of squared
differences, and its root is rounded to float32, so that a score has the same bits for every batch
and order. Pixels are grey levels 0 to 255. Agrees with scikit-learn's `NearestNeighbors` to float32
rounding.

Source: Ramaswamy, Rastogi and Shim 2000 (the k-th distance as a score).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.anomaly.detectors.base import (
    DetectorRow,
    DetectorSettings,
    Option,
    options_of,
    require_fitted,
)
from bench.anomaly.detectors.vectors import FeatureReader, PixelReader, VectorDetector
from bench.errors import UsageError
from bench.statistics.neighbours.results import K_NEAREST

SOURCE = "Ramaswamy et al. 2000"


class KthNeighbour:
    """Distance to the k-th nearest of the stored vectors."""

    def __init__(self, name: str, k: int, device: str) -> None:
        if k < 1:
            raise UsageError(f"{name}: k {k}: expected at least 1")
        self.name = name
        self.at_least = k
        self._device = device
        self._normal: NDArray[np.float32] | None = None

    def fit(self, f_ND: NDArray[np.float32]) -> None:
        """Store the vectors."""
        self._normal = f_ND

    def chosen(self) -> dict[str, Option]:
        return {"k": self.at_least}

    def scores(self, f_MD: NDArray[np.float32]) -> NDArray[np.float64]:
        normal = require_fitted(self._normal, self.name)
        from bench.statistics.neighbours.search import nearest_neighbours  # noqa: PLC0415  (torch)

        nearest = nearest_neighbours(f_MD, normal, self.at_least, device=self._device)
        return nearest.distances[:, self.at_least - 1].astype(np.float64)


def _model(name: str, settings: DetectorSettings) -> KthNeighbour:
    options = options_of(settings, name, {"k": K_NEAREST})
    return KthNeighbour(name, int(options["k"]), settings.device)


def _on_pixels(settings: DetectorSettings) -> VectorDetector:
    name = "knn-pixels"
    return VectorDetector(PixelReader(name), _model(name, settings))


def _on_features(settings: DetectorSettings) -> VectorDetector:
    reader = FeatureReader(settings.extractor, settings.device)
    return VectorDetector(reader, _model("knn-features", settings))


def _on_hog(settings: DetectorSettings) -> VectorDetector:
    reader = FeatureReader("hog", settings.device)
    return VectorDetector(reader, _model("knn-hog", settings))


KNN_PIXELS = DetectorRow(
    name="knn-pixels",
    title="distance to the 5th nearest normal image, raw pixels",
    source=SOURCE,
    make=_on_pixels,
    at_least=K_NEAREST,
    constants={"k": K_NEAREST},
)
KNN_HOG = DetectorRow(
    name="knn-hog",
    title="distance to the 5th nearest normal image, histograms of oriented gradients",
    source=f"{SOURCE}; features: Dalal & Triggs 2005",
    make=_on_hog,
    at_least=K_NEAREST,
    constants={"k": K_NEAREST, "features": "hog"},
)
KNN_FEATURES = DetectorRow(
    name="knn-features",
    title="distance to the 5th nearest normal image, features of an extractor",
    source=SOURCE,
    make=_on_features,
    reads="features",
    labels="outside",
    at_least=K_NEAREST,
    constants={"k": K_NEAREST},
)
