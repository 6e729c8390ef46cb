"""Controlled variations of images: rotation about the centre, then a horizontal shift.

Both are done at once by bilinear interpolation; pixels from outside the image are 0. The same
function makes the training pairs of the recipe `drlim` and the images that measure invariances.

Shape legend: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def vary(images: Tensor, degrees: Tensor, shift_px: Tensor) -> Tensor:
    """Rotate float images N,C,H,W clockwise by `degrees` N, then move them right by `shift_px` N.

    >>> image = torch.zeros(1, 1, 3, 3)
    >>> image[0, 0, 0, 1] = 1  # a point above the centre
    >>> vary(image, torch.tensor([90.0]), torch.tensor([0.0]))[0, 0].round().int().tolist()
    [[0, 0, 0], [0, 0, 1], [0, 0, 0]]
    """
    height, width = images.shape[-2:]
    angle = torch.deg2rad(degrees.float())
    cos, sin = angle.cos(), angle.sin()
    # from output to input coordinates, which run from -1 to 1 over the image
    theta = torch.stack(
        [
            torch.stack([cos, sin * (height / width), -cos * shift_px * (2 / width)], dim=-1),
            torch.stack([-sin * (width / height), cos, sin * shift_px * (2 / height)], dim=-1),
        ],
        dim=-2,
    )
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
