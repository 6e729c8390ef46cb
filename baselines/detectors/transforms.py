"""The 72 geometric transforms of Golan & El-Yaniv 2018, as gathers of pixels.

Mirroring (2) x horizontal translation (3) x vertical translation (3) x quarter turns (4), applied
in this order, the identity first. A translation moves the image by a quarter of its side and fills
with mirrored border pixels (d c b a | a b c d), as in the authors' code (section 5.1). Each
transform only moves pixels, so that it is one index of the flattened image, and any batch of
transforms is one gather.

Shape legend: K jobs, T transforms, P pixels (H x W), B images, C channels.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from baselines.detectors.fitting import Batch, Job, Schedule, pooled
from baselines.training.training_images import scaled
from baselines.tricks.base import Net
from bench.errors import UsageError

SHARE = 4  # a translation is a fourth of the side


class Transform(NamedTuple):
    """One transform. `right` and `down` are in px, `turns` are quarter turns anticlockwise."""

    mirrored: bool
    right: int
    down: int
    turns: int


def transforms(side_px: int) -> tuple[Transform, ...]:
    """Return the transforms for images of a side; translations and turns without mirroring come
    first.
    """
    step = side_px // SHARE
    moves = (0, -step, step)
    return tuple(
        Transform(bool(mirrored), right, down, turns)
        for mirrored, right, down, turns in itertools.product((0, 1), moves, moves, range(4))
    )


def _moved(side: int, by: int) -> NDArray[np.int64]:
    """Return the source of every place of an axis that is moved by `by` px."""
    place = np.arange(side) - by
    place = np.where(place < 0, -place - 1, place)
    return np.where(place >= side, 2 * side - 1 - place, place)


def applied(picture: NDArray[np.int64], transform: Transform) -> NDArray[np.int64]:
    """Return a transform of one H,W array."""
    side = len(picture)
    found = picture[:, ::-1] if transform.mirrored else picture
    found = found[_moved(side, transform.down)][:, _moved(side, transform.right)]
    return np.rot90(found, transform.turns)


def pixel_indices(height: int, width: int) -> Tensor:
    """Return int64 T,P: entry t,p is the pixel that transform t puts at p. Raises `UsageError` for
    images that a quarter turn does not map onto themselves, or of less than 4 px.
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
    """Return images B,C,H,W, each under its own row of indices B,P: B,C,H,W."""
    flat = x.flatten(2)
    return flat.gather(2, indices[:, None].expand(-1, flat.shape[1], -1)).view_as(x)


@dataclass(frozen=True)
class TransformedBatches:
    """Batches of random images and transforms for `train_jobs`, from uint8 images.

    Job k draws from its own generator, seeded with its seed: the images of a step, then the rows of
    `indices` T,P. The objective reads the rows as "turned" K,B.
    """

    indices: Tensor

    def __call__(self, jobs: Sequence[Job], schedule: Schedule) -> Iterator[Batch]:
        """Yield batches in [-1, 1], endlessly."""
        pool, device = pooled(jobs), self.indices.device
        generators = [torch.Generator(device).manual_seed(job.seed) for job in jobs]
        starts = itertools.accumulate((len(job.images) for job in jobs[:-1]), initial=0)
        bounds = [(start, len(job.images)) for start, job in zip(starts, jobs, strict=True)]
        size = (schedule.batch_size,)
        while True:
            places, turned = [], []
            for (start, count), generator in zip(bounds, generators, strict=True):
                drawn = torch.randint(count, size, generator=generator, device=device)
                places.append(drawn + start)
                turned.append(
                    torch.randint(len(self.indices), size, generator=generator, device=device)
                )
            rows = torch.stack(turned)
            x = transformed(pool[torch.cat(places)], self.indices[rows.flatten()])
            yield Batch(scaled(x, "signed").view(*rows.shape, *x.shape[1:]), {"turned": rows})


def transform_objective(net: Net, x: Tensor, read: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the cross entropy of the transform of each image: its mean, and the value of each
    image B.
    """
    losses = F.cross_entropy(net(x), read["turned"], reduction="none")
    return losses.mean(), losses
