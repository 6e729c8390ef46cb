"""`ImageDeal`: what the pixels of each image decide, whatever the image is called.

- The split of the Inception Score that an image belongs to. Splits by the order of the names would
  change the score when files are renamed.
- Whether the image was there before. Copies are not independent draws, and intervals need to know
  how many there are (`MetricInputs.copy_rate`).

Both come from a hash of the pixels. The second copy of an image is dealt by its hash and the number
of the copy, so that copies spread over the splits, and no order of the images changes what the
splits hold.

Shape legend: n images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.content.observer import image_hashes
from bench.metrics.base import SPLITS
from bench.statistics.moments import mixed, splits_of_keys


class ImageDeal:
    """The images seen so far: a key for each, its split, and how many are copies.

    `seed` selects one of many deals. Keys do not depend on it.

    >>> deal = ImageDeal(seed=0)
    >>> deal.add(np.zeros((2, 28, 28, 1), np.uint8))
    >>> deal.splits(0, 2).shape, deal.copy_rate
    ((2,), 1.0)
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._seen: dict[int, int] = {}  # images by hash
        self._keys: list[NDArray[np.uint64]] = []
        self._repeated: list[NDArray[np.bool_]] = []
        self._pairs = 0  # of images that are equal

    def add(self, images: NDArray[np.uint8]) -> None:
        """Take the next images, uint8 n,H,W,C with C 1 or 3."""
        hash_n = image_hashes(images)
        copy_n = np.zeros(len(hash_n), np.uint64)
        for place, code in enumerate(hash_n.tolist()):
            before = self._seen.get(code, 0)
            self._seen[code] = before + 1
            if before:
                copy_n[place] = before
                self._pairs += before
        self._repeated.append(copy_n > 0)
        self._keys.append(mixed(hash_n) + copy_n)

    @property
    def keys(self) -> NDArray[np.uint64]:
        """Key of each image: that of its pixels, and of the number of equal images before it."""
        if len(self._keys) != 1:
            self._keys = [np.concatenate([np.empty(0, np.uint64), *self._keys])]
        return self._keys[0]

    def splits(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the split, 0 to 9, of each image from `start` to `stop`."""
        return splits_of_keys(self.keys[start:stop], SPLITS, self._seed)

    @property
    def repeated(self) -> NDArray[np.bool_]:
        """Whether each image is a copy of an earlier one."""
        return np.concatenate([np.empty(0, np.bool_), *self._repeated])

    @property
    def copy_rate(self) -> float:
        """Probability that two random images are equal in every pixel; 0 for a single image."""
        num = sum(map(len, self._keys))
        return self._pairs / (num * (num - 1) / 2) if num > 1 else 0.0
