"""Where the images of one split come from, as a reference records it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.datasets import load_dataset


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """A named data set, or a path.

    Raises `ValueError` unless exactly one of `dataset` and `path` is given.
    """

    dataset: str | None = None  # a name that `bench.data.datasets.load_dataset` takes
    root: str | None = None  # folder that holds the data set; None for the usual places
    path: str | None = None  # folder, zip, npz, npy or idx file

    def __post_init__(self) -> None:
        if (self.dataset is None) == (self.path is None):
            raise ValueError("a data source has either a data set or a path")

    def images(self, split: str) -> NDArray[np.uint8]:
        """Return the images of a data set, uint8 N,H,W,C. Raises as `load_dataset` does."""
        if self.dataset is None:
            raise ValueError(f"{self.path} is not a data set")
        root = None if self.root is None else Path(self.root)
        return load_dataset(self.dataset, split, data_root=root).images
