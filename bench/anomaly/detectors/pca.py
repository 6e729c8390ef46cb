"""Reconstruction error from the principal components of the normal images.

    score(x) = |x - x'|^2 / D,   x' = mu + V V^T (x - mu)

of pixels in [0, 1], with the fewest components V that hold more than 95 % of the variance (option
`variance`). A fully trained linear autoencoder has the same subspace and therefore the same scores
(Baldi and Hornik 1989). When all normal images are equal there are no components, and the score is
the squared distance to that image.

Source: Jackson and Mudholkar 1979 (the residual of principal components as a test).

Shape legend: M images, D pixels.
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
    require_normal,
    require_range,
)
from bench.anomaly.detectors.components import VARIANCE, Components
from bench.anomaly.detectors.vectors import PixelReader

NAME = "pca"
BLOCK = 1024  # images turned to float64 at a time
U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]


class PrincipalComponents:
    """A detector on pixels with reconstructions."""

    def __init__(self, variance: float) -> None:
        require_range(NAME, "variance", variance, 0, 1)
        self._variance = variance
        self._read = PixelReader(NAME)
        self._components: Components | None = None

    def fit(self, normal: U8) -> None:
        require_normal(normal, 1, NAME)
        self._components = Components.of(self._read(normal) / np.float32(255), self._variance, NAME)

    def settled(self) -> dict[str, Option]:
        components = {} if self._components is None else {"components": len(self._components.axes)}
        return {"variance": self._variance, **components}

    def scores(self, images: U8) -> F64:
        scores = np.empty(len(images))
        for start in range(0, len(images), BLOCK):
            pixels, back = self._back(images[start : start + BLOCK])
            scores[start : start + BLOCK] = np.square(pixels - back).mean(axis=1)
        return scores

    def reconstructions(self, images: U8) -> U8:
        """Return the nearest images in the subspace, clipped to grey levels, uint8 of the same
        shape.
        """
        found = np.empty_like(images)
        for start in range(0, len(images), BLOCK):
            _, back = self._back(images[start : start + BLOCK])
            levels = np.floor(255 * back + 0.5).clip(0, 255).astype(np.uint8)
            found[start : start + BLOCK] = levels.reshape(-1, *images.shape[1:])
        return found

    def _back(self, images: U8) -> tuple[NDArray[np.float32], F64]:
        components = require_fitted(self._components, NAME)
        pixels = self._read(images) / np.float32(255)
        return pixels, components.project(pixels) @ components.axes + components.mean


def _make(settings: DetectorSettings) -> PrincipalComponents:
    return PrincipalComponents(
        float(options_of(settings, NAME, {"variance": VARIANCE})["variance"])
    )


PCA = DetectorRow(
    name=NAME,
    title="reconstruction error from principal components with 95 % of the variance",
    source="Jackson and Mudholkar 1979",
    make=_make,
    at_least=1,
    constants={"variance": VARIANCE},
)
