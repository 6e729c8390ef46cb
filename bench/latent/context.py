"""`Context`: one space on one data set, with the codes that several groups of measures share.

Shape legend: N images, D dimensions of a code.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.latent.data import LatentData
from bench.latent.space import CheckedSpace, Codes, Images
from bench.latent.values import Absent


@dataclass(frozen=True)
class Anchors:
    """Images whose codes are known: `images` uint8 N,H,W,C, `codes` float32 N,D, `labels` int64 N
    or None. `real` says whether they are held-out images; otherwise the space made them.
    """

    images: Images
    codes: Codes
    labels: NDArray[np.int64] | None
    real: bool


@dataclass(frozen=True)
class Context:
    """One space and one data set; every random draw comes from `seed`. `other` is a data set that
    the space was not trained on.
    """

    space: CheckedSpace
    data: LatentData
    seed: int = 0
    other: LatentData | None = None

    def generator(self, *parts: str | int) -> np.random.Generator:
        """Return random numbers of their own for what `parts` name."""
        words = [int.from_bytes(str(part).encode()[:16], "little") for part in parts]
        return np.random.default_rng([self.seed, *words])

    @functools.cached_property
    def train_codes(self) -> Codes:
        """Codes of the training images. Raises `Absent` without an encoder."""
        return self.space.encode(self.data.train.images, self.data.train.labels)

    @functools.cached_property
    def test_codes(self) -> Codes:
        """Codes of the held-out images. Raises `Absent` without an encoder."""
        return self.space.encode(self.data.test.images, self.data.test.labels)

    @property
    def free_train_codes(self) -> Codes:
        """Codes of the training images without the class that a conditional model is given."""
        return self.space.free(self.train_codes)

    @property
    def free_test_codes(self) -> Codes:
        """Codes of the held-out images without the class that a conditional model is given."""
        return self.space.free(self.test_codes)

    @functools.cached_property
    def anchors(self) -> Anchors:
        """Held-out images with their codes; without an encoder, generated images with their
        latents, and with the classes that the classifier sees.
        """
        data = self.data
        if self.space.has("encode"):
            return Anchors(data.test.images, self.test_codes, data.test.labels, real=True)
        if not self.space.has("sample_latents"):
            raise Absent(f"{self.space.name} has neither an encoder nor a distribution of latents")
        codes = self.space.sample_latents(len(data.test.images), self.seed)
        images = self.space.decode(codes)
        return Anchors(images, codes, self.classes_of(images), real=False)

    def classes_of(self, images: Images) -> NDArray[np.int64] | None:
        """Return the classes that the classifier sees, int64 N; None without a classifier."""
        try:
            found: NDArray[np.int64] = self.data.probabilities(self.data.features(images)).argmax(
                axis=1
            )
        except Absent:
            return None
        return found
