"""What an extractor is: uint8 images in, features out, with a name and a digest.

An extractor file holds one network and a loader. The literal table `EXTRACTORS` in
`bench.extractors` lists rows that name the loader; nothing heavy is imported before `load`. To add
an extractor: one file with a loader, one row.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.errors import BundleError, InputError
from bench.stats import Features

Progress = Callable[[int, int], None]


class Extractor(Protocol):
    """A loaded network. Calling it maps uint8 N,H,W,C (C = 1 or 3) to `Features` of N rows.

    Rows come in the order of the images, and a row depends on its image alone (to 1e-5), not on
    batch size, order or thread count. Raises `InputError` when the image size does not fit.
    """

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str:
        """SHA-256 of the weights, in hex."""

    @property
    def device(self) -> str: ...

    def __call__(
        self, images: NDArray[np.uint8], *, progress: Progress | None = None
    ) -> Features: ...


@dataclass(frozen=True, kw_only=True)
class ExtractorRow:
    """One row of the table. `loader` is "module:function", called with the row and a device."""

    name: str
    title: str
    loader: str
    weights: str  # file below bench/extractors/weights
    sha256: str
    feature_dim: int
    num_classes: int | None
    side_px: int
    channels: Literal[1, 3]  # what the network sees; colour is reduced to luma for 1
    citation: str

    def load(self, device: str = "cpu") -> Extractor:
        """The extractor with its weights on `device`. Raises `BundleError` on damaged weights."""
        module, function = self.loader.split(":")
        extractor: Extractor = getattr(importlib.import_module(module), function)(self, device)
        return extractor

    def read_weights(self) -> bytes:
        """The bytes of the weights file, checked against the table's SHA-256."""
        file = resources.files("bench.extractors") / "weights" / self.weights
        try:
            data = file.read_bytes()
        except OSError as error:
            raise BundleError(f"weights {self.weights} of {self.name!r}: {error}") from error
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            raise BundleError(
                f"weights {self.weights} of {self.name!r} are damaged: SHA-256 {found}, "
                f"expected {self.sha256}. Install latentbench again."
            )
        return data


def luma(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey N,H,W,1 from N,H,W,C: itself when C = 1, else ITU-R BT.601 luma, rounded to nearest."""
    if images.shape[3] == 1:
        return images
    grey = images.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    rounded: NDArray[np.uint8] = np.floor(grey + 0.5).clip(0, 255).astype(np.uint8)
    return rounded[..., None]


def require_size(images: NDArray[np.uint8], side_px: int, name: str) -> None:
    """Raises `InputError` unless `images` is uint8 N,side,side,C."""
    if images.ndim != 4 or images.dtype != np.uint8 or len(images) == 0:
        raise InputError(
            f"extractor {name!r} needs uint8 images N,H,W,C with N >= 1, "
            f"got {images.dtype} {images.shape}"
        )
    if images.shape[1:3] != (side_px, side_px):
        raise InputError(
            f"extractor {name!r} takes {side_px}x{side_px} px images, "
            f"got {images.shape[2]}x{images.shape[1]} px (width x height); "
            "choose an extractor made for these images, or resize them before you score"
        )
