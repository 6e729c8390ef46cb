"""One-class support vector machine with a Gaussian kernel (libsvm through scikit-learn).

    score(x) = rho - sum_i a_i exp(-gamma |x - x_i|^2)

on all pixels in [0, 1], nu = 0.1 (Ruff et al., ICML 2018). `oc-svm` takes gamma from the normal
images only: one over the largest squared distance of two of them, as the code of that paper does
without a search. The published MNIST figures (mean 91.3) belong to this gamma, class by class. `oc-
svm-oracle` takes the gamma of 2^-10, ..., 2^-1 with the largest AUC on labelled images of the kind
that it is judged by, as the paper describes its search on a tenth of the test set. Nobody could use
such a detector in practice, and every table marks it. Options: `nu`, `gamma` (0: as described),
`variance` (below 1: principal components), `contrast` (1: global contrast normalisation, see
`bench.anomaly.detectors.components`).

libsvm finds the support vectors: from a kernel matrix while that fits into memory, and from kernel
rows as needed for more images. Scores are one product and agree with scikit-learn's
`decision_function` to 1e-6, the tolerance of libsvm.

Source: Schölkopf et al. 2001.

Shape legend: N normal images, M scored ones, C components, S support vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from bench.anomaly.detectors.components import Preparation, preparation_of
from bench.anomaly.detectors.kde import BLOCK_ENTRIES, largest_squared_distance, squared_distances
from bench.anomaly.detectors.vectors import PixelReader, VectorDetector
from bench.errors import UsageError
from bench.statistics.roc import auc

F64 = NDArray[np.float64]

NU = 0.1  # share of normal images that may lie outside
ORACLE_GAMMAS = tuple(2.0**power for power in range(-10, 0))
BOUNDS = 1e-12, 1e12  # of a gamma that is given
MAX_MATRIX = 7000  # images whose kernel matrix is made at once: 374 MiB
CACHE_MB = 1000  # of kernel rows while libsvm solves without
SOURCE = "Schölkopf et al. 2001; protocol: Ruff et al. 2018"
DEFAULTS: dict[str, Option] = {"nu": NU, "gamma": 0.0, "variance": 1.0, "contrast": 0}


class Support(NamedTuple):
    """Support vectors (float64 S,C), their weights (float64 S), and the threshold of their sum."""

    vectors: F64
    weights: F64
    rho: float
    gamma: float

    @classmethod
    def of(cls, x_NC: F64, squared_NN: F64 | None, *, nu: float, gamma: float) -> Support:
        """Return the support vectors of the prepared normal images, with or without their squared
        distances given.
        """
        from sklearn.svm import OneClassSVM  # type: ignore[import-untyped]  # noqa: PLC0415  (slow)

        if squared_NN is None:
            svm = OneClassSVM(kernel="rbf", nu=nu, gamma=gamma, cache_size=CACHE_MB).fit(x_NC)
        else:
            svm = OneClassSVM(kernel="precomputed", nu=nu).fit(np.exp(-gamma * squared_NN))
        return cls(x_NC[svm.support_], svm.dual_coef_[0], -float(svm.intercept_[0]), gamma)

    def scores(self, x_MC: F64) -> F64:
        """Return scores, float64 M."""
        scores = np.empty(len(x_MC))
        step = max(1, BLOCK_ENTRIES // len(self.vectors))
        for start in range(0, len(x_MC), step):
            kernel = squared_distances(x_MC[start : start + step], self.vectors)
            kernel *= -self.gamma
            np.exp(kernel, out=kernel)
            scores[start : start + step] = self.rho - kernel @ self.weights
        return scores


class Labelled(NamedTuple):
    """Images with labels (1 is anomalous) that an oracle is tuned on."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


class OneClass:
    """A model of `VectorDetector`. A `gamma` of 0 is chosen by the fit: by `oracle` (prepared
    vectors of labelled images) when it is given.
    """

    at_least = 2

    def __init__(self, name: str, preparation: Preparation, *, nu: float, gamma: float) -> None:
        self.name = name
        self._prepared = preparation
        self._nu, self._gamma = nu, gamma
        self.oracle: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None
        self.support: Support | None = None

    def fit(self, f_ND: NDArray[np.float32]) -> None:
        """Solve for the support vectors."""
        x_NC = self._prepared.fit(f_ND)
        squared_NN = squared_distances(x_NC, x_NC) if len(x_NC) <= MAX_MATRIX else None
        if self.oracle is not None and not self._gamma:
            self.support = self._best(x_NC, squared_NN, *self.oracle)
            return
        gamma = self._gamma or 1 / (
            largest_squared_distance(x_NC) if squared_NN is None else float(squared_NN.max())
        )
        self.support = Support.of(x_NC, squared_NN, nu=self._nu, gamma=gamma)

    def _best(
        self,
        x_NC: F64,
        squared_NN: F64 | None,
        f_MD: NDArray[np.float32],
        labels_M: NDArray[np.int64],
    ) -> Support:
        """Return the machine with the largest AUC on labelled images; the first of equal ones."""
        x_MC = self._prepared(f_MD)
        found, best = None, -1.0
        for gamma in ORACLE_GAMMAS:
            support = Support.of(x_NC, squared_NN, nu=self._nu, gamma=gamma)
            scores = support.scores(x_MC)
            value = auc(scores[labels_M == 1], scores[labels_M == 0]).value
            if value > best:
                found, best = support, value
        return require_fitted(found, self.name)

    def chosen(self) -> dict[str, Option]:
        return {} if self.support is None else {"gamma": self.support.gamma}

    def scores(self, f_MD: NDArray[np.float32]) -> F64:
        support = require_fitted(self.support, self.name)
        return support.scores(self._prepared(f_MD))


class Oracle(VectorDetector):
    """A one-class machine whose gamma is tuned on labelled images of the test set."""

    def __init__(
        self,
        reader: PixelReader,
        model: OneClass,
        labelled: Labelled,
        options: Mapping[str, Option],
    ) -> None:
        super().__init__(reader, model, options)
        self._read, self._machine, self._labelled = reader, model, labelled

    def fit(self, normal: NDArray[np.uint8]) -> None:
        if normal.ndim == 4:
            self._read.shape = normal.shape[1:]
        self._machine.oracle = self._read(self._labelled.images), self._labelled.labels
        super().fit(normal)


def _machine(options: Mapping[str, Option], name: str) -> OneClass:
    nu, gamma = float(options["nu"]), float(options["gamma"])
    require_range(name, "nu", nu, 0, 1)
    if gamma:
        require_range(name, "gamma", gamma, *BOUNDS)
    return OneClass(name, preparation_of(name, options), nu=nu, gamma=gamma)


def _make(settings: DetectorSettings) -> VectorDetector:
    options = options_of(settings, "oc-svm", DEFAULTS)
    return VectorDetector(PixelReader("oc-svm"), _machine(options, "oc-svm"), options)


def _oracle(settings: DetectorSettings) -> Oracle:
    name = "oc-svm-oracle"
    images, labels = settings.oracle_images, settings.oracle_labels
    if images is None or labels is None:
        raise UsageError(
            f"{name} is tuned on labelled test images, and none are given; take oc-svm, whose "
            "gamma comes from the normal images alone"
        )
    if len(images) != len(labels) or set(labels.tolist()) != {0, 1}:
        raise UsageError(
            f"{name}: {len(images)} images and {len(labels)} labels; expected as many labels, of "
            "both kinds (0 normal, 1 anomalous)"
        )
    options = options_of(settings, name, DEFAULTS)
    return Oracle(PixelReader(name), _machine(options, name), Labelled(images, labels), options)


OC_SVM = DetectorRow(
    name="oc-svm",
    title="one-class support vector machine, Gaussian kernel as wide as the data",
    source=SOURCE,
    make=_make,
    constants={"nu": NU},
)
OC_SVM_ORACLE = DetectorRow(
    name="oc-svm-oracle",
    title="the same, gamma chosen on labelled test images",
    source=SOURCE,
    make=_oracle,
    labels="test",
    constants={"nu": NU},
)
