"""`Context`: one space on one data set, with the codes that several groups of measures share.

Shape legend: N images, D dimensions of a code.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.latent.data import LatentData
from bench.latent.inversion import NUM_INVERTED, invert
from bench.latent.space import CheckedSpace, Codes, Images
from bench.latent.values import Absent

OTHER_LATENTS = 10**6  # added to the seed for latents that stand for training images


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

    With `invert`, codes of real images are searched for where the space has no encoder.
    """

    space: CheckedSpace
    data: LatentData
    seed: int = 0
    invert: bool = False
    other: LatentData | None = None

    def generator(self, *parts: str | int) -> np.random.Generator:
        """Return random numbers of their own for what `parts` name."""
        name = "/".join(map(str, parts)).encode()
        word = int.from_bytes(hashlib.sha256(name).digest()[:8], "little")
        return np.random.default_rng([self.seed, word])

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
        """Held-out images with their codes. Without an encoder, generated images with their
        latents, and with the classes that the classifier sees; or some held-out images with codes
        by inversion.
        """
        if self.space.has("encode"):
            test = self.data.test
            return Anchors(test.images, self.test_codes, test.labels, real=True)
        if self.invert:
            test = self.data.test.first(NUM_INVERTED, self.seed)
            return Anchors(test.images, self.inversion[0], test.labels, real=True)
        return self._generated(len(self.data.test.images), self.seed)

    @functools.cached_property
    def inversion(self) -> tuple[Codes, NDArray[np.float64]]:
        """Codes of `NUM_INVERTED` held-out images by inversion, and the error of each."""
        if not self.invert:
            raise Absent("inversion is off (--invert)")
        test = self.data.test.first(NUM_INVERTED, self.seed)
        return invert(self.space, test.images, test.labels, self.seed)

    @functools.cached_property
    def train_anchors(self) -> Anchors:
        """The same of training images; without an encoder, of other latents."""
        if self.space.has("encode"):
            train = self.data.train
            return Anchors(train.images, self.train_codes, train.labels, real=True)
        return self._generated(len(self.data.train.images), self.seed + OTHER_LATENTS)

    @functools.cached_property
    def reconstructions(self) -> Images:
        """The held-out images, encoded and decoded."""
        return self.space.decode(self.test_codes)

    @functools.cached_property
    def reconstruction_features(self) -> NDArray[np.float32]:
        """Features of the reconstructions, float32 N,F."""
        return self.data.features(self.reconstructions).values

    @functools.cached_property
    def sample_features(self) -> NDArray[np.float32]:
        """Features of the images of as many sampled latents as there are held-out images."""
        latents = self.space.sample_latents(len(self.data.test.images), self.seed)
        return self.data.features(self.space.decode(latents)).values

    def _generated(self, num: int, seed: int) -> Anchors:
        if not self.space.has("sample_latents"):
            raise Absent(f"{self.space.name} has neither an encoder nor a distribution of latents")
        codes = self.space.sample_latents(num, seed)
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
