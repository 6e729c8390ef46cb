"""Isolation forest: the number of random cuts that separate an image (scikit-learn's
implementation).

100 trees of 256 images, as Liu et al. recommend, on pixels with normalised contrast in the
principal components that keep 95 % of the variance (see `bench.anomaly.detectors.components`). This
is the protocol of Ruff et al. 2018, whose MNIST figures it reproduces class by class. Without
components it is much worse, because a cut of a single pixel carries little information. The score
is minus scikit-learn's `score_samples`: 2^(-E h(x) / c(256)), between 0 and 1. Options: `trees`,
`samples` (all, if there are fewer normal images), `variance` (1: all pixels), `contrast` (0: raw
pixels).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from sklearn.ensemble import IsolationForest  # type: ignore[import-untyped]

NAME = "isolation-forest"
TREES = 100
SAMPLES = 256  # of each tree
MAX_TREES = 10_000
DEFAULTS: dict[str, Option] = {
    "trees": TREES,
    "samples": SAMPLES,
    "variance": VARIANCE,
    "contrast": 1,
}


class Forest:
    """A model of `VectorDetector`."""

    at_least = 2

    def __init__(self, preparation: Preparation, *, trees: int, samples: int, seed: int) -> None:
        require_range(NAME, "trees", trees, 0, MAX_TREES)
        require_range(NAME, "samples", samples, 1)
        self.name = NAME
        self._trees, self._samples, self._seed = trees, samples, seed
        self._prepared = preparation
        self._forest: IsolationForest | None = None

    def fit(self, f_ND: NDArray[np.float32]) -> None:
        """Grow the trees."""
        x_ND = self._prepared.fit(f_ND)
        from sklearn.ensemble import IsolationForest  # noqa: PLC0415  (slow to import)

        self._forest = IsolationForest(
            n_estimators=self._trees,
            max_samples=min(self._samples, len(x_ND)),
            random_state=self._seed,
        ).fit(x_ND)

    def chosen(self) -> dict[str, Option]:
        return {}

    def scores(self, f_MD: NDArray[np.float32]) -> NDArray[np.float64]:
        forest = require_fitted(self._forest, self.name)
        return -np.asarray(forest.score_samples(self._prepared(f_MD)), np.float64)


def _make(settings: DetectorSettings) -> VectorDetector:
    options = options_of(settings, NAME, DEFAULTS)
    forest = Forest(
        preparation_of(NAME, options),
        trees=int(options["trees"]),
        samples=int(options["samples"]),
        seed=settings.seed,
    )
    return VectorDetector(PixelReader(NAME), forest, options)


ISOLATION_FOREST = DetectorRow(
    name=NAME,
    title="isolation forest, 100 trees of 256 images, in principal components",
    source="Liu, Ting and Zhou 2008; protocol: Ruff et al. 2018",
    make=_make,
    seeded=True,
    constants={"trees": TREES, "samples": SAMPLES, "variance": VARIANCE},
)
