"""`ContentFacts`: what is kept of the pixels of a folder once they have gone by.

Compact arrays of fixed size an image, and a few thumbnails; enough for every finding about the
content, and for the pictures that go with them. About 0.1 kB an image beside the thumbnails.

Shape legend: N images, M images with statistics, S statistics, D dimensions of a descriptor, T
thumbnails, h rows, w columns, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bench.content.descriptors import DIMENSIONS
from bench.content.statistics import STATISTICS
from bench.errors import InputError


@dataclass(frozen=True)
class ContentFacts:
    """Levels are of the luma (ITU-R BT.601, whole numbers), 0 to 255.

    `histogram` int64 256 counts the values of all pixels and channels; `lows`, `highs` uint8 N are
    the least and largest level of each image; `hashes` uint64 N stand for its exact pixels.
    `statistics` float32 M,S are those of the images at `statistic_rows` (see
    `bench.content.statistics`), `descriptors` float16 N',D those at `descriptor_rows` (all images,
    unless there are very many). `thumbnails` uint8 T,h,w,C, at most 64 px a side, C = 1 when every
    image of the folder is grey, are of the images at `thumbnail_rows`. Rows are int64 and sorted.
    """

    num_images: int
    height_px: int
    width_px: int
    channels: int
    histogram: NDArray[np.int64]
    lows: NDArray[np.uint8]
    highs: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    statistic_rows: NDArray[np.int64]
    statistics: NDArray[np.float32]
    descriptor_rows: NDArray[np.int64]
    descriptors: NDArray[np.float16]
    thumbnail_rows: NDArray[np.int64]
    thumbnails: NDArray[np.uint8]

    @cached_property
    def grey_shares(self) -> NDArray[np.float64]:
        """Share of the pixels by grey level, float64 256."""
        return np.asarray(self.histogram / self.histogram.sum())

    def statistic(self, name: str) -> NDArray[np.float32]:
        """The values of one statistic that are numbers."""
        values = self.statistics[:, STATISTICS.index(name)]
        return values[np.isfinite(values)]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything as arrays, for an npz file."""
        shape = [self.num_images, self.height_px, self.width_px, self.channels]
        arrays: dict[str, NDArray[np.generic]] = {"shape": np.array(shape, np.int64)}
        return arrays | {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """The inverse of `arrays`. Raises `InputError` for arrays that do not fit."""
        try:
            num_images, height, width, channels = np.asarray(arrays["shape"]).tolist()
            found = {name: np.asarray(arrays[name], dtype) for name, dtype in _ARRAYS.items()}
        except (KeyError, ValueError) as error:
            raise InputError(f"no content facts: {error}") from error
        facts = cls(num_images, height, width, channels, **found)
        fits = (
            facts.histogram.shape == (256,)
            and facts.lows.shape == facts.highs.shape == facts.hashes.shape == (num_images,)
            and facts.statistics.shape == (len(facts.statistic_rows), len(STATISTICS))
            and facts.descriptors.shape == (len(facts.descriptor_rows), DIMENSIONS)
            and facts.thumbnails.ndim == 4
            and len(facts.thumbnails) == len(facts.thumbnail_rows)
        )
        if not fits:
            raise InputError("no content facts: shapes do not fit")
        return facts


_ARRAYS: dict[str, type[np.generic]] = {
    "histogram": np.int64,
    "lows": np.uint8,
    "highs": np.uint8,
    "hashes": np.uint64,
    "statistic_rows": np.int64,
    "statistics": np.float32,
    "descriptor_rows": np.int64,
    "descriptors": np.float16,
    "thumbnail_rows": np.int64,
    "thumbnails": np.uint8,
}
