"""How far the named protocols are apart on the same images.

For each kind of image, the FID of every protocol between real images and (a) other real images,
(b) the same ones with noise; and, before any network, the mean distance in grey levels between
the resized inputs that the protocols make of one image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bench.extractors.base import Extractor
from bench.extractors.inception import SIDE_PX
from bench.extractors.resampling import resample
from bench.studies.precision import fid

BASE = "torch-fidelity"
NOISE_SD = 10.0  # grey levels


class Difference(NamedTuple):
    """One protocol on one kind of image."""

    images: str
    num_images: int
    protocol: str
    input_difference: float  # mean absolute difference to torch-fidelity's input, of 255
    fid_fresh: float
    fid_noisy: float


def noisy(images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Gaussian noise of `NOISE_SD` grey levels on uint8 N,H,W,C."""
    noise = np.random.default_rng(seed).standard_normal(images.shape) * NOISE_SD
    return np.asarray((images + noise).round().clip(0, 255).astype(np.uint8))


def measure(
    extractors: dict[str, Extractor],
    sets: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    progress: Callable[[str, int, int], None] | None = None,
) -> Iterator[Difference]:
    """Differences for every kind of image, given as two sets of real ones, uint8 N,H,W,C."""
    done, total = 0, len(sets) * len(extractors)
    for name, (real, fresh) in sets.items():
        x = torch.from_numpy(real).permute(0, 3, 1, 2)
        base = resample(x, BASE, SIDE_PX)
        spoilt = noisy(real, seed=0)
        for protocol, extractor in extractors.items():
            features = [extractor(images).values for images in (real, fresh, spoilt)]
            done += 1
            if progress is not None:
                progress("protocols", done, total)
            yield Difference(
                images=name,
                num_images=len(real),
                protocol=protocol,
                input_difference=float((resample(x, protocol, SIDE_PX) - base).abs().mean()),
                fid_fresh=fid(features[0], features[1]),
                fid_noisy=fid(features[0], features[2]),
            )
