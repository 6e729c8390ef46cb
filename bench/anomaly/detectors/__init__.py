"""The table of anomaly detectors: those of this package, and those that other packages add.

Another package adds a detector through the entry-point group `latentbench.detectors`:

    [project.entry-points."latentbench.detectors"]
    ink = "my_package.ink:INK"

where the entry point has the name of the row. A complete detector, `my_package/ink.py`:

    import numpy as np
    from bench.anomaly.detectors import DetectorRow

    class Ink:
        def __init__(self, settings):
            pass

        def fit(self, normal):  # uint8 N,H,W,C
            self.mean = normal.mean()

        def scores(self, images):  # float64 M, higher is more anomalous
            return abs(images.mean(axis=(1, 2, 3)) - self.mean)

    INK = DetectorRow(
        name="ink",
        title="distance to the mean ink of the normal images",
        source="an example",
        make=Ink,
    )
"""

from __future__ import annotations

from bench.anomaly.detectors.base import Detector, DetectorRow, DetectorSettings
from bench.anomaly.detectors.isolation_forest import ISOLATION_FOREST
from bench.anomaly.detectors.kde import KDE, KDE_EXPONENTIAL
from bench.anomaly.detectors.knn import KNN_FEATURES, KNN_HOG, KNN_PIXELS
from bench.anomaly.detectors.mahalanobis import (
    MAHALANOBIS_FEATURES,
    MAHALANOBIS_HOG,
    MAHALANOBIS_PIXELS,
)
from bench.anomaly.detectors.one_class_svm import OC_SVM, OC_SVM_ORACLE
from bench.anomaly.detectors.pca import PCA
from bench.runtime.registry import Registry

__all__ = ["DETECTORS", "Detector", "DetectorRow", "DetectorSettings"]

DETECTORS: Registry[DetectorRow] = Registry(
    "detector",
    "latentbench.detectors",
    DetectorRow,
    (
        KNN_PIXELS,
        KNN_HOG,
        KNN_FEATURES,
        MAHALANOBIS_PIXELS,
        MAHALANOBIS_HOG,
        MAHALANOBIS_FEATURES,
        PCA,
        KDE,
        KDE_EXPONENTIAL,
        ISOLATION_FOREST,
        OC_SVM,
        OC_SVM_ORACLE,
    ),
)
