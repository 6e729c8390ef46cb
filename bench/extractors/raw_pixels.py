"""`pixels`: the image itself as a feature vector, value/255, row by row, red green blue.

A baseline that every other extractor should beat: distances between pixels depend on brightness
and position, and little on what a picture shows. Grey is repeated to three channels, so that the
dimension depends on the image size only: a set in which all images are grey is read as one channel,
and must be comparable with a set in colour. For grey images, squared distances are three times
those of one channel. Luma instead would make a set in the wrong colours perfect.

Shape legend: N images, H W pixels, C channels, D = H W 3 features.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.extractors.base import ResolvedExtractor, require_images
from bench.runtime.progress import CountProgress
from bench.statistics.moments import Features

MAX_SIDE_PX = 64  # 12,288 features, whose covariance is 1.2 GB in float64
BLOCK = 1024  # images
DEFINITION = "latentbench pixels 1: float32 value/255, rows, columns, red green blue"
DIGEST = hashlib.sha256(DEFINITION.encode()).hexdigest()


@dataclass
class RawPixels:
    """An `Extractor` without a network; it computes on the CPU for any device."""

    name: str
    digest: str
    device: str = "cpu"
    batch_size: int = BLOCK

    def __call__(
        self, images: NDArray[np.uint8], *, progress: CountProgress | None = None
    ) -> Features:
        require_images(images, self.name)
        num, height, width, channels = images.shape
        if max(height, width) > MAX_SIDE_PX:
            raise InputError(
                f"extractor {self.name!r} takes images of at most {MAX_SIDE_PX}x{MAX_SIDE_PX} px, "
                f"got {width}x{height} px (width x height): {height * width * 3:,} features are "
                f"too many to compare. Resize them: --resize {MAX_SIDE_PX}x{MAX_SIDE_PX}"
            )
        values = np.empty((num, height * width * 3), np.float32)
        for start in range(0, num, BLOCK):
            block = images[start : start + BLOCK]
            rgb = np.repeat(block, 3 // channels, axis=3)
            stop = start + len(block)
            np.divide(rgb.reshape(len(block), -1), np.float32(255), out=values[start:stop])
            if progress is not None:
                progress(stop, num)
        return Features(values)


def load(resolved: ResolvedExtractor, _device: str) -> RawPixels:
    """Return the extractor of the row."""
    return RawPixels(resolved.name, resolved.digest)
