"""`FeatureCollector`: the features of any number of images, in bounded memory.

All features are kept up to `subset` images. Of more images it keeps the features of a fixed random
subset, the moments of all and the class statistics of all. Moments are merged in blocks of fixed
bounds, so that the bits do not depend on the sizes in which the images came.

Shape legend: N images, S splits, D features, K classes.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.metrics.base import SPLITS
from bench.references.image_deal import ImageDeal
from bench.statistics.moments import (
    BLOCK,
    ClassStatistics,
    Features,
    FeatureSample,
    Moments,
    class_probabilities,
    score_splits,
    subset_rows,
)


class FeatureCollector:
    """Collects the features of `num_images` images by one extractor, block by block.

    `name` is the extractor's, for messages. `deal` has seen the images before their features come;
    it gives their splits of the Inception Score, and the rate of copies. Without it, the images are
    dealt by their positions with `seed`.
    """

    def __init__(
        self, name: str, num_images: int, *, subset: int, seed: int, deal: ImageDeal | None = None
    ) -> None:
        self._name = name
        self._num_images = num_images
        self._rows = subset_rows(num_images, subset)
        self._stores_all = len(self._rows) == num_images
        self._seed = seed
        self._deal = deal
        self._done = 0
        self._stored: list[Features] = []
        self._waiting: list[Features] = []  # of a block that is not complete
        self._moments: Moments | None = None
        self._classes: ClassStatistics | None = None

    def add(self, features: Features) -> None:
        """Add the features of the next images. Raises `InputError` when they are not finite, differ
        in their dimensions from those before, or are more than expected.
        """
        self._check(features)
        start, stop = self._done, self._done + len(features.values)
        self._done = stop
        if self._stores_all:
            self._stored.append(features)
            return
        first, last = np.searchsorted(self._rows, (start, stop))
        self._stored.append(_rows_of(features, self._rows[first:last] - start))
        self._waiting.append(features)
        if sum(len(part.values) for part in self._waiting) >= BLOCK:
            self._reduce()

    def _check(self, features: Features) -> None:
        values = features.values
        for array, what in ((values, "features"), (features.logits, "logits")):
            if array is not None and not np.isfinite(array).all():
                bad = int((~np.isfinite(array)).any(axis=1).sum())
                raise InputError(
                    f"extractor {self._name!r} gave {what} that are NaN or infinite for {bad:,} of "
                    f"{len(array):,} images; its weights or its precision do not suit these images"
                )
        if self._stored and _widths(self._stored[0]) != _widths(features):
            raise InputError(
                f"extractor {self._name!r} gave {_format(features)} after "
                f"{_format(self._stored[0])}; every image must have the same number"
            )
        if self._done + len(values) > self._num_images:
            raise InputError(
                f"extractor {self._name!r}: features of {self._done + len(values):,} images or "
                f"more, expected {self._num_images:,}"
            )

    def _reduce(self, *, last: bool = False) -> None:
        """Reduce waiting features to moments and class statistics, in blocks of `BLOCK` images
        counted from the first image; with `last`, the incomplete block as well.
        """
        waiting = joined(self._waiting)
        num_waiting = len(waiting.values)
        end = num_waiting if last else num_waiting // BLOCK * BLOCK
        for start in range(0, end, BLOCK):
            block = _rows_of(waiting, slice(start, min(start + BLOCK, end)))
            found = [Moments.of(block.values)]
            self._moments = Moments.merged(
                found if self._moments is None else [self._moments, *found]
            )
            position = self._done - num_waiting + start
            self._classes = self._with_classes(self._classes, block, position)
        self._waiting = [_rows_of(waiting, slice(end, None))] if end < num_waiting else []

    def _with_classes(
        self, classes: ClassStatistics | None, block: Features, position: int
    ) -> ClassStatistics | None:
        if block.logits is None:
            return None
        splits = self._splits_of(position, position + len(block.values))
        found = ClassStatistics.of(class_probabilities(block.logits), splits, SPLITS)
        return found if classes is None else classes.plus(found)

    def _splits_of(self, start: int, stop: int) -> NDArray[np.int64]:
        if self._deal is None:
            return self._splits_by_position[start:stop]
        return self._deal.splits(start, stop)

    @functools.cached_property
    def _splits_by_position(self) -> NDArray[np.int64]:
        return score_splits(self._num_images, SPLITS, self._seed)

    def sample(self) -> FeatureSample:
        """Return what was collected. Raises `InputError` when images are missing."""
        if self._done != self._num_images or not self._done:
            raise InputError(
                f"extractor {self._name!r}: features of {self._done:,} images, expected "
                f"{self._num_images:,}"
            )
        if self._waiting:
            self._reduce(last=True)
        deal = self._deal
        return FeatureSample(
            joined(self._stored),
            self._rows,
            self._classes,
            self._moments,
            copy_rate=0.0 if deal is None else deal.copy_rate,
            repeated=deal.repeated[self._rows] if deal is not None and deal.copy_rate else None,
            keys=None if deal is None else deal.keys[self._rows],
        )


def _widths(features: Features) -> tuple[int, int]:
    """Return the dimensions of features and of logits, 0 for no logits."""
    return features.values.shape[1], 0 if features.logits is None else features.logits.shape[1]


def _format(features: Features) -> str:
    return "{} features and {} logits".format(*_widths(features))


def _rows_of(features: Features, rows: NDArray[np.int64] | slice) -> Features:
    logits = None if features.logits is None else features.logits[rows]
    return Features(features.values[rows], logits)


def joined(parts: Sequence[Features]) -> Features:
    """Return the rows of all parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    logits = [part.logits for part in parts if part.logits is not None]
    return Features(
        np.concatenate([part.values for part in parts]),
        np.concatenate(logits) if logits else None,
    )
