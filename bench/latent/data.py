"""The data that spaces are measured on: labelled images, their features, and a classifier.

Features and the classifier are the same for every space, so that they are computed once.

    extractor   that of the reference of the data set, where it has one; else `hog`
    classifier  the extractor's, where it was trained on the labels of these data; else a
                multinomial logistic regression (L2, C = 1) on the features of the training images

Shape legend: N images, H,W,C an image, D features, K classes, F factors.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.datasets import DATASETS
from bench.errors import InputError
from bench.extractors import extractor_row
from bench.extractors.base import Extractor, ExtractorChoice
from bench.latent.values import Absent
from bench.references.lookup import DEFAULT_EXTRACTORS
from bench.statistics.moments import Features, Moments
from bench.statistics.neighbours.search import nearest_neighbours

OTHER_EXTRACTOR = "hog"
FALSE_POSITIVES = 0.05
K_ANOMALY = 5  # neighbour whose distance is the anomaly score

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class LabelledImages:
    """Images uint8 N,H,W,C, with labels int64 N of 0 or more and factors int64 N,F, if known."""

    images: Images
    labels: NDArray[np.int64] | None = None
    factors: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8 or len(self.images) == 0:
            raise InputError(
                f"expected images as uint8 N,H,W,C with N >= 1, got {self.images.dtype} "
                f"{self.images.shape}"
            )
        for name, rows in (("labels", self.labels), ("factors", self.factors)):
            if rows is not None and len(rows) != len(self.images):
                raise InputError(f"{len(rows)} {name} for {len(self.images)} images")

    def at(self, rows: NDArray[np.int64]) -> LabelledImages:
        """Return the images at these rows."""
        return LabelledImages(
            self.images[rows],
            None if self.labels is None else self.labels[rows],
            None if self.factors is None else self.factors[rows],
        )

    def first(self, num: int, seed: int) -> LabelledImages:
        """Return `num` random images in their order, all of them when there are fewer."""
        if len(self.images) <= num:
            return self
        rows = np.random.default_rng(seed).choice(len(self.images), num, replace=False)
        return self.at(np.sort(rows).astype(np.int64))


@dataclass(frozen=True)
class LatentData:
    """Training and held-out images of one data set, with what is computed from them alone.

    `class_names` and `factor_names` are for pictures and tables.
    """

    name: str
    train: LabelledImages
    test: LabelledImages
    factor_names: Sequence[str] = ()
    class_names: Sequence[str] = ()
    extractor: str | None = None  # by its name; None: see the head of this file
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.train.images.shape[1:] != self.test.images.shape[1:]:
            raise InputError(
                f"{self.name}: training images have shape {self.train.images.shape[1:]}, held-out "
                f"images {self.test.images.shape[1:]}"
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """H, W, C."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels

    @property
    def extractor_name(self) -> str:
        """The name of the extractor."""
        return self.extractor or DEFAULT_EXTRACTORS.get(self.name, OTHER_EXTRACTOR)

    @property
    def num_classes(self) -> int:
        """The largest label plus 1. Raises `Absent` without labels and with one class."""
        if self.train.labels is None or self.test.labels is None:
            raise Absent(f"{self.name} has no labels")
        if len(np.unique(self.train.labels)) < 2:
            raise Absent(f"all training images of {self.name} have one class")
        return int(max(self.train.labels.max(), self.test.labels.max())) + 1

    @functools.cached_property
    def network(self) -> Extractor:
        """The extractor, loaded."""
        return extractor_row(self.extractor_name).resolve(ExtractorChoice()).load(self.device)

    def features(self, images: Images) -> Features:
        """Return the features of images, and logits where the extractor is a classifier."""
        return self.network(images)

    @functools.cached_property
    def train_features(self) -> Features:
        """Features of the training images."""
        return self.features(self.train.images)

    @functools.cached_property
    def test_features(self) -> Features:
        """Features of the held-out images."""
        return self.features(self.test.images)

    @functools.cached_property
    def test_moments(self) -> Moments:
        """Moments of the held-out features."""
        return Moments.of(self.test_features.values)

    @functools.cached_property
    def _regression(self) -> LogisticClassifier:
        assert self.train.labels is not None  # noqa: S101  (num_classes has looked)
        return LogisticClassifier.fit(self.train_features.values, self.train.labels)

    @property
    def classifier_name(self) -> str:
        """The classifier in words. Raises `Absent` where there can be none."""
        row = extractor_row(self.extractor_name)
        if row.labels_of == self.name and self.name in DATASETS:
            return f"the classifier of extractor {row.name}"
        _ = self.num_classes
        return f"logistic regression on the features of {row.name}"

    def probabilities(self, features: Features) -> NDArray[np.float64]:
        """Return class probabilities N,K for features of this extractor.

        Raises `Absent` without labels to learn from.
        """
        if extractor_row(self.extractor_name).labels_of == self.name:
            found = features.probabilities
            if found is not None:
                return found
        _ = self.num_classes
        return self._regression.probabilities(features.values)

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the distances of N rows to their `K_ANOMALY` nearest training images: N,k."""
        if len(self.train.images) < K_ANOMALY:
            raise Absent(
                f"{len(self.train.images)} training images are fewer than {K_ANOMALY} neighbours"
            )
        return nearest_neighbours(features, self.train_features.values, K_ANOMALY).distances

    @functools.cached_property
    def test_distances(self) -> NDArray[np.float32]:
        """Distances of the held-out images to their nearest training images."""
        return self.distances(self.test_features.values)

    @functools.cached_property
    def anomaly_threshold(self) -> float:
        """The distance to the 5th nearest training image that 5 % of held-out images exceed."""
        return float(np.quantile(self.test_distances[:, -1], 1 - FALSE_POSITIVES))


@dataclass(frozen=True)
class LogisticClassifier:
    """Multinomial logistic regression: standardised features, L2 penalty with C = 1.

    `weights` is float64 D,K and `bias` float64 K over the classes `classes` that were seen.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    classes: NDArray[np.int64]
    num_classes: int

    @classmethod
    def fit(cls, f_ND: NDArray[np.floating], labels: NDArray[np.int64]) -> LogisticClassifier:
        """Fit to features and labels of at least two classes."""
        from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

        mean = f_ND.mean(axis=0, dtype=np.float64)
        scale = f_ND.std(axis=0, dtype=np.float64)
        scale[scale == 0] = 1
        model = LogisticRegression(max_iter=2000, tol=1e-3).fit((f_ND - mean) / scale, labels)
        weights, bias = model.coef_, model.intercept_
        if len(model.classes_) == 2:  # scikit-learn keeps one row: the log odds
            weights = np.concatenate([0 * weights, weights])
            bias = np.concatenate([0 * bias, bias])
        classes = model.classes_.astype(np.int64)
        return cls(mean, scale, weights.T, bias, classes, int(labels.max()) + 1)

    def probabilities(self, f_ND: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return probabilities N,K; a class that was not seen has 0."""
        logits = ((f_ND - self.mean) / self.scale) @ self.weights + self.bias
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits)
        found = np.zeros((len(f_ND), self.num_classes))
        found[:, self.classes] = p / p.sum(axis=1, keepdims=True)
        return found
