"""Fit images of any size to convolutions that halve and double their maps.

Sides are halved while both are even and at least 4 px remain. If that gives fewer than two
halvings, the network works on the next larger size that can be halved twice: the generator's extra
rows and columns are cut off, and the discriminator sees the last row and column repeated.

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
    """The map sizes of one image size: `num_halvings` doublings lead from `base` H,W px to `padded`
    px, which is cut to `size` px.
    """

    num_halvings: int
    base: tuple[int, int]
    size: tuple[int, int]

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the largest map in px."""
        height, width = self.base
        return height << self.num_halvings, width << self.num_halvings

    @property
    def is_exact(self) -> bool:
        """Whether the largest map has the size of the images."""
        return self.padded == self.size

    def fit(self, x: Tensor) -> Tensor:
        """Pad N,C,H,W to the padded size by repeating the last column and row."""
        below, beside = (a - b for a, b in zip(self.padded, self.size, strict=True))
        if beside:
            x = torch.cat([x, x[..., -1:].expand(*x.shape[:-1], beside)], dim=-1)
        if below:
            x = torch.cat([x, x[..., -1:, :].expand(*x.shape[:-2], below, x.shape[-1])], dim=-2)
        return x

    def cut(self, x: Tensor) -> Tensor:
        """Cut images of the padded size to N,C,H,W."""
        return x if self.is_exact else x[..., : self.size[0], : self.size[1]]


def grid_of(image_shape: ImageShape) -> Grid:
    """Return the grid for images C,H,W. Raises `UsageError` for a side below 4 px.

    >>> grid_of((1, 28, 28))
    Grid(num_halvings=2, base=(7, 7), size=(28, 28))
    >>> grid_of((3, 30, 30)).padded
    (32, 32)
    """
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
