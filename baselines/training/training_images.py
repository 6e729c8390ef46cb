"""A training set that lives on the device as uint8, and batches of it as float32.

Names are the data sets of `bench.data.datasets` (mnist, fashion-mnist, torchvision:CLASS);
anything else
is a path that `bench.intake` reads: a folder, zip, npz or npy of equal images, grey or RGB, up to
64 px a side. Nothing is decoded, copied or collated while a model trains: a batch is one gather
and one scaling, on the device.

Shape legend: N images of the set, B images of a batch, C channels, H rows, W columns.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.models.base import Scale
from bench.data.datasets import DATASETS, TORCHVISION, load_dataset
from bench.errors import InputError, InvalidSubmission, UnknownNameError
from bench.intake import read_images, sanitise

MAX_SIDE_PX = 64


@dataclass(frozen=True)
class TrainingSet:
    """`images` uint8 N,C,H,W and `labels` int64 N (None where there are none) on one device;
    `digest` is SHA-256 of shape, pixels and labels.
    """

    name: str
    images: Tensor
    labels: Tensor | None
    digest: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """C, H, W."""
        _, channels, height, width = self.images.shape
        return channels, height, width

    @property
    def num_classes(self) -> int:
        """One more than the largest label; 0 without labels."""
        return 0 if self.labels is None else int(self.labels.max()) + 1

    def batch(self, index: Tensor, scale: Scale) -> Tensor:
        """The images at `index` (int64, any shape ...): float32 ...,C,H,W."""
        picked = self.images.index_select(0, index.flatten())
        return scaled(picked, scale).view(*index.shape, *self.image_shape)

    def classes(self, index: Tensor) -> Tensor:
        """The labels at `index` (int64, any shape), int64 of that shape."""
        if self.labels is None:
            raise InputError(f"{self.name} has no labels; a conditional model needs them")
        return self.labels.index_select(0, index.flatten()).view(index.shape)


def scaled(images: Tensor, scale: Scale) -> Tensor:
    """uint8 to float32: 0..255 to [-1, 1] ("signed", for tanh) or to [0, 1] ("unit")."""
    if scale == "signed":
        return images.float().div_(127.5).sub_(1)
    return images.float().div_(255)


def to_uint8(x: Tensor, scale: Scale) -> NDArray[np.uint8]:
    """The reverse of `scaled`: float N,C,H,W -> uint8 N,H,W,C, rounded to nearest and clamped."""
    levels = (x.float() + 1) * 127.5 if scale == "signed" else x.float() * 255
    pixels = levels.round().clamp(0, 255).to(torch.uint8)
    return np.asarray(pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy())


def training_set(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    *,
    name: str,
    device: str = "cpu",
) -> TrainingSet:
    """A set from arrays: uint8 N,H,W,C with C 1 or 3, and N labels or None.

    Raises `InputError` when a side exceeds 64 px or the labels do not fit.
    """
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[3] not in (1, 3):
        raise InputError(f"{name}: images are {images.dtype} {images.shape}, not uint8 N,H,W,C")
    num, height, width, _ = images.shape
    if num == 0 or max(height, width) > MAX_SIDE_PX:
        raise InputError(
            f"{name}: {num} images of {width}x{height} px; the baselines take at least one image "
            f"and at most {MAX_SIDE_PX} px a side"
        )
    if labels is not None and (labels.shape != (num,) or labels.min() < 0):
        raise InputError(f"{name}: {num} images need {num} labels from 0, got {labels.shape}")
    planar = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    digest = hashlib.sha256(f"{planar.shape}".encode())
    digest.update(planar.data)
    if labels is not None:
        digest.update(np.ascontiguousarray(labels, np.int64).data)
    return TrainingSet(
        name=name,
        images=torch.from_numpy(planar).to(device),
        labels=None if labels is None else torch.from_numpy(labels.astype(np.int64)).to(device),
        digest=digest.hexdigest(),
    )


def load_training_set(
    source: str,
    *,
    split: str = "train",
    data_root: Path | None = None,
    download: bool = False,
    device: str = "cpu",
) -> TrainingSet:
    """A named data set's split, fetched if it may be, or any folder, zip, npz or npy of equal
    images.

    Raises `UnknownNameError` for a name that is neither a data set nor a path, and what
    `load_dataset` and `read_images` raise.
    """
    if source in DATASETS or source.startswith(TORCHVISION):
        data = load_dataset(source, split, data_root=data_root, download=download)
        return training_set(data.images, data.labels, name=source, device=device)
    if not Path(source).exists():
        raise UnknownNameError(
            "data set", source, [*DATASETS, f"{TORCHVISION}CLASS", "a folder, zip, npz or npy"]
        )
    try:
        images = read_images(source).images
    except InvalidSubmission as error:
        raise InvalidSubmission(
            f"{source}: cannot be trained on: all files must be images of one size and kind, as "
            "above; `latentbench audit` shows every file",
            error.findings,
        ) from error
    if images is None:
        raise InputError(f"{source}: no images to train on")
    return training_set(images.images, None, name=sanitise(source), device=device)
