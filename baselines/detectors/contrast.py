"""Deep SVDD's preprocessing: global contrast normalisation by L1, then min-max of the normal set.

    u = (x - mean x) / mean |x - mean x|        per image, x in [0, 1], over all its values
    v = (u - low) / (high - low)                low, high: extremes of u over the normal images

as in the authors' code (Ruff et al. 2018). An image of one colour has no contrast: its u is 0.

Shape legend: N images, C,H,W an image.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from baselines.training.training_images import scaled


class Contrast(NamedTuple):
    """The extremes of the normal images; both 0 when none has any contrast."""

    low: float
    high: float

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 N,C,H,W -> float32 N,C,H,W; normal images lie in [0, 1]."""
        span = self.high - self.low
        return (normalised(images) - self.low) / (span if span > 0 else 1.0)


def normalised(images: Tensor) -> Tensor:
    """uint8 N,C,H,W -> u, float32 N,C,H,W."""
    x = scaled(images, "unit").flatten(1)
    constant = (images.flatten(1) == images.flatten(1)[:, :1]).all(1, keepdim=True)
    x = torch.where(constant, 0.0, x - x.mean(1, keepdim=True))
    size = x.abs().mean(1, keepdim=True)
    return (x / torch.where(size > 0, size, 1.0)).view(images.shape)


def contrast_of(normal: Tensor) -> Contrast:
    """The preprocessing of a normal set uint8 N,C,H,W."""
    u = normalised(normal)
    return Contrast(float(u.min()), float(u.max()))
