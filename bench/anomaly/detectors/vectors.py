"""Detectors that see an image as one vector: the source of the vectors, and the model that scores
them.

A reader turns images into vectors, and a model learns from vectors and scores them.
`VectorDetector` joins the two, so that every model works on raw pixels and on the features of any
extractor.

Shape legend: N images, H,W,C an image, D = H W C pixels or D features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.anomaly.detectors.base import Option, require_normal
from bench.errors import InputError, UsageError
from bench.extractors import extractor_row
from bench.extractors.base import Extractor

Vectors = NDArray[np.float32] | NDArray[np.float64]
U8 = NDArray[np.uint8]


class Reader(Protocol):
    """Turns images into vectors, one for each, that depend on their image only."""

    def __call__(self, images: U8) -> NDArray[np.float32]:
        """Return float32 N,D. Raises `InputError` for images of another shape than before."""


class Model(Protocol):
    """Learns from the vectors of normal images and scores others."""

    name: str
    at_least: int  # normal images that it needs

    def fit(self, f_ND: NDArray[np.float32]) -> None:
        """Learn from vectors. Raises `UsageError` or `InputError` for vectors that it cannot learn
        from.
        """

    def chosen(self) -> dict[str, Option]:
        """Return the options that the fit chose, by name; it may include given ones."""

    def scores(self, f_MD: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return scores, float64 M; higher is more anomalous."""


class PixelReader:
    """Reads raw pixels, 0 to 255."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.shape: tuple[int, ...] | None = None

    def __call__(self, images: U8) -> NDArray[np.float32]:
        if images.ndim != 4 or images.dtype != np.uint8:
            raise UsageError(
                f"{self._name}: images are {images.dtype} {images.shape}, not uint8 N,H,W,C"
            )
        if self.shape is None:
            self.shape = images.shape[1:]
        if images.shape[1:] != self.shape:
            raise InputError(
                f"{self._name} was fitted to images H,W,C {self.shape}, these have "
                f"{images.shape[1:]}; bring all images to one size and number of channels"
            )
        return images.reshape(len(images), -1).astype(np.float32)


class FeatureReader:
    """Reads features of an extractor, which is loaded with the first images."""

    def __init__(self, extractor: str, device: str) -> None:
        self._row = extractor_row(extractor)
        self._device = device
        self._network: Extractor | None = None
        self._dim = self._row.feature_dim  # None: it depends on the size of the images

    def __call__(self, images: U8) -> NDArray[np.float32]:
        if self._network is None:
            self._network = self._row.resolve().load(self._device)
        if not len(images):
            return np.empty((0, self._dim or 0), np.float32)
        values = self._network(images).values
        if self._dim is None:
            self._dim = values.shape[1]
        if values.shape[1] != self._dim:
            raise InputError(
                f"{self._row.name} was fitted to {self._dim} features an image, these images have "
                f"{values.shape[1]}; bring all images to one size"
            )
        return values


class VectorDetector:
    """A reader and a model as one detector, of images and of vectors."""

    def __init__(
        self, reader: Reader, model: Model, options: Mapping[str, Option] | None = None
    ) -> None:
        self._reader = reader
        self._model = model
        self._options = dict(options or {})

    def settled(self) -> dict[str, Option]:
        """See `bench.anomaly.detectors.base.Telling`."""
        return {**self._options, **self._model.chosen()}

    def fit(self, normal: U8) -> None:
        require_normal(normal, self._model.at_least, self._model.name)
        self._model.fit(self._reader(normal))

    def scores(self, images: U8) -> NDArray[np.float64]:
        if not len(images):
            return np.empty(0)
        return self._model.scores(self._reader(images))

    def fit_features(self, normal: NDArray[np.float32]) -> None:
        """Fit to vectors that are computed already."""
        if len(normal) < self._model.at_least:
            raise UsageError(
                f"{self._model.name} needs {self._model.at_least} or more normal images, got "
                f"{len(normal)}"
            )
        self._model.fit(normal)

    def scores_of_features(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the scores of vectors that are computed already."""
        return self._model.scores(features)
