"""Shares of the classes in a folder and in real images, as the same classifier sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

MAX_CLASSES = 100  # with more, as in ImageNet, single shares are too small to judge

# Names of an extractor's classes, in the plural.
CLASS_NAMES: dict[str, tuple[str, ...]] = {
    "digits": (
        "zeros", "ones", "twos", "threes", "fours", "fives", "sixes", "sevens", "eights", "nines",
    ),
    "fashion": (
        "T-shirts", "trousers", "pullovers", "dresses", "coats", "sandals", "shirts", "sneakers",
        "bags", "ankle boots",
    ),
}  # fmt: skip


class ClassShares(NamedTuple):
    """Shares of K classes among `num_images` images of a folder, and those of real images.

    `shares` and `expected` are float64 K and sum to 1; `names` are K names in the plural.
    """

    shares: F64
    expected: F64
    num_images: int
    names: Sequence[str]

    @classmethod
    def of(
        cls, shares: F64, expected: F64, num_images: int, names: Sequence[str] | None = None
    ) -> Self | None:
        """Return the shares, or None if they come from different classifiers or from more than
        100 classes. Without K names, the classes are called "class 0" and so on.

        >>> ClassShares.of(np.array([0.8, 0.2]), np.array([0.5, 0.5]), 40).names
        ['class 0', 'class 1']
        """
        if shares.shape != expected.shape or not 2 <= len(shares) <= MAX_CLASSES:
            return None
        if names is None or len(names) != len(shares):
            names = [f"class {k}" for k in range(len(shares))]
        return cls(shares, expected, num_images, names)
