"""The 72 geometric transforms of Golan & El-Yaniv 2018, as gathers of pixels.

Mirroring (2) x horizontal translation (3) x vertical translation (3) x quarter turns (4), applied
in this order, the identity first. A translation moves the image by a quarter of its side; pixels
that come in are those of the border, mirrored (d c b a | a b c d), as in the authors' code
(section 5.1). Each transform only moves pixels, so it is one index of the flattened image, and any
batch of them is one gather.

Shape legend: T transforms, P pixels (H x W), B images, C channels.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import UsageError

SHARE = 4  # a translation is a fourth of the side


class Transform(NamedTuple):
    """One member of the set; `right` and `down` are in px, `turns` quarter turns anticlockwise."""

    mirrored: bool
    right: int
    down: int
    turns: int


def transforms(side_px: int) -> tuple[Transform, ...]:
    """The set for images of a side; translations and turns without mirroring first."""
    step = side_px // SHARE
    moves = (0, -step, step)
    return tuple(
        Transform(bool(mirrored), right, down, turns)
        for mirrored, right, down, turns in itertools.product((0, 1), moves, moves, range(4))
    )


def _moved(side: int, by: int) -> NDArray[np.int64]:
    """The source of every place of an axis that is moved by `by` px."""
    place = np.arange(side) - by
    place = np.where(place < 0, -place - 1, place)
    return np.where(place >= side, 2 * side - 1 - place, place)


def applied(picture: NDArray[np.int64], transform: Transform) -> NDArray[np.int64]:
    """A transform of one H,W array."""
    side = len(picture)
    found = picture[:, ::-1] if transform.mirrored else picture
    found = found[_moved(side, transform.down)][:, _moved(side, transform.right)]
    return np.rot90(found, transform.turns)


def pixel_indices(height: int, width: int) -> Tensor:
    """int64 T,P: entry t,p is the pixel that transform t puts at p. Raises `UsageError` for images
    that a quarter turn does not map onto themselves, or of less than 4 px.
    """
    if height != width or height < SHARE:
        raise UsageError(
            f"images of {width}x{height} px: transforms that turn images by 90 degrees need "
            f"square ones of {SHARE} px or more; pad or crop them"
        )
    places = np.arange(height * width).reshape(height, width)
    rows = [applied(places, transform).ravel() for transform in transforms(height)]
    return torch.from_numpy(np.stack(rows))


def transformed(x: Tensor, indices: Tensor) -> Tensor:
    """Images B,C,H,W, each under its own row of indices B,P: B,C,H,W."""
    flat = x.flatten(2)
    return flat.gather(2, indices[:, None].expand(-1, flat.shape[1], -1)).view_as(x)
