"""Images of any size on the maps of convolutions that halve and double.

A side that halves evenly does so, down to 4 px or more. Where a side cannot be halved twice that
way, the network works on the next larger size that can: the generator's last rows and columns are
cut off, the discriminator sees the last row and column repeated. Sides that halve are untouched.

Shape legend: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from baselines.models.base import ImageShape
from bench.errors import UsageError

MIN_BASE_PX, MIN_HALVINGS = 4, 2


class Grid(NamedTuple):
    """`num_halvings` from a map of `base` H,W px up to `padded` px, cut to `size` px."""

    num_halvings: int
    base: tuple[int, int]
    size: tuple[int, int]

    @property
    def padded(self) -> tuple[int, int]:
        height, width = self.base
        return height << self.num_halvings, width << self.num_halvings

    @property
    def is_exact(self) -> bool:
        return self.padded == self.size

    def fit(self, x: Tensor) -> Tensor:
        """N,C,H,W -> the padded size, the last column and row repeated."""
        below, beside = (a - b for a, b in zip(self.padded, self.size, strict=True))
        if beside:
            x = torch.cat([x, x[..., -1:].expand(*x.shape[:-1], beside)], dim=-1)
        if below:
            x = torch.cat([x, x[..., -1:, :].expand(*x.shape[:-2], below, x.shape[-1])], dim=-2)
        return x

    def cut(self, x: Tensor) -> Tensor:
        """N,C and the padded size -> N,C,H,W."""
        return x if self.is_exact else x[..., : self.size[0], : self.size[1]]


def grid_of(image_shape: ImageShape) -> Grid:
    """The grid of images C,H,W. Raises `UsageError` for a side below 4 px."""
    _, height, width = image_shape
    smaller = min(height, width)
    if smaller < MIN_BASE_PX:
        raise UsageError(
            f"images of {width}x{height} px: a convolutional model needs sides of {MIN_BASE_PX} px "
            "or more; choose a dense model, or resize the images"
        )
    largest = (smaller // MIN_BASE_PX).bit_length() - 1  # halvings that leave 4 px or more
    exact = largest
    while height % 2**exact or width % 2**exact:
        exact -= 1
    count = exact if exact >= MIN_HALVINGS else max(largest, 1)
    return Grid(count, (-(-height >> count), -(-width >> count)), (height, width))


class Fit(nn.Module):
    """`Grid.fit` as a layer."""

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, x: Tensor) -> Tensor:
        return self.grid.fit(x)


class Cut(Fit):
    """`Grid.cut` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return self.grid.cut(x)
