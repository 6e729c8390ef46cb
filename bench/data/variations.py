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
    # output to input coordinates in px from the centre; `affine_grid` cannot be stacked by vmap
    y = torch.arange(height, device=images.device) - (height - 1) / 2
    x = torch.arange(width, device=images.device) - (width - 1) / 2
    x_N1W, y_1H1 = x - shift_px.float()[:, None, None], y[None, :, None]
    cos, sin = cos[:, None, None], sin[:, None, None]
    x_NHW, y_NHW = cos * x_N1W + sin * y_1H1, cos * y_1H1 - sin * x_N1W
    grid = torch.stack([x_NHW * (2 / width), y_NHW * (2 / height)], dim=-1)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
