"""`ContentFacts`: a compact summary of the pixels of a folder.

It holds arrays of a fixed size per image (about 0.1 kB) and thumbnails of some images. Every
finding about the content, and every picture that goes with one, is made from it.

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

MAX_CONSTANT_RANGE = 2  # grey levels; an image with a smaller range is blank


@dataclass(frozen=True)
class ContentFacts:
    """A summary of N images of one size. Grey levels are those of the ITU-R BT.601 luma, 0 to 255.

    `histogram` (int64 256) counts the values of all pixels and channels. `lows` and `highs`
    (uint8 N) are the lowest and highest level of each image. `hashes` (uint64 N) identify its
    exact pixels.

    The other arrays describe some of the images, whose positions are in `..._rows` (int64,
    sorted): `statistics` (float32 M,S, see `bench.content.statistics`), `descriptors` (float16
    N',D, of all images up to 200,000, see `bench.content.descriptors`) and `thumbnails` (uint8
    T,h,w,C, of all images up to 32 MiB). A thumbnail is the image itself up to 64 px a side; C is
    1 if every image of the folder is grey, else 3.
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

    @cached_property
    def constant_rows(self) -> NDArray[np.int64]:
        """Positions of the images without contrast: a range of less than 2 grey levels.

        In a folder of nothing but levels 0 and 1, which are floats saved without scaling, a range
        of 1 level is contrast.
        """
        rows = np.flatnonzero(self.highs.astype(int) - self.lows < MAX_CONSTANT_RANGE)
        if int(self.highs.max()) == 1 and int(self.lows.min()) == 0:
            rows = rows[self.highs[rows] == self.lows[rows]]
        return rows

    @property
    def is_blank(self) -> bool:
        """Whether every image is without contrast."""
        return len(self.constant_rows) == self.num_images

    def statistic(self, name: str) -> NDArray[np.float32]:
        """Return the finite values of one statistic, float32."""
        values = self.statistics[:, STATISTICS.index(name)]
        return values[np.isfinite(values)]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the whole summary as arrays, for an npz file."""
        shape = [self.num_images, self.height_px, self.width_px, self.channels]
        arrays: dict[str, NDArray[np.generic]] = {"shape": np.array(shape, np.int64)}
        return arrays | {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the summary that `arrays` gave. Raises `InputError` if the arrays do not fit."""
        try:
            num_images, height, width, channels = np.asarray(arrays["shape"]).tolist()
            found = {name: np.asarray(arrays[name], dtype) for name, dtype in _ARRAYS.items()}
        except (KeyError, ValueError) as error:
            raise InputError(f"not the content facts of a folder: {error}") from error
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
            raise InputError("not the content facts of a folder: the shapes do not fit")
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
