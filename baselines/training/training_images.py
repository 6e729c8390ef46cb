"""A training set that lives on the device as uint8, with batches as float32.

A name is a data set of `bench.data.datasets` (mnist, fashion-mnist, factors, torchvision:CLASS);
anything else is a path that `bench.intake` reads: a folder, zip, npz or npy of images of one size,
grey or RGB, up to 64 px a side; a folder for each class gives labels. Training decodes and copies
no images: a batch is one gather and one scaling on the device.

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
from bench.data.datasets import VALID_NAMES, is_dataset_name, load_dataset
from bench.errors import InputError, InvalidSubmission, UnknownNameError
from bench.intake import parse_size, read_images, sanitise, split_array_name
from bench.intake.arrays import resize_array

MAX_SIDE_PX = 64


@dataclass(frozen=True)
class TrainingSet:
    """Images on one device: `images` uint8 N,C,H,W and `labels` int64 N, or None without labels.

    `digest` is the SHA-256 digest of shape, pixels and labels.
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
        """The largest label plus 1; 0 without labels."""
        return 0 if self.labels is None else int(self.labels.max()) + 1

    def batch(self, index: Tensor, scale: Scale) -> Tensor:
        """Return the images at `index` (int64, any shape ...): float32 ...,C,H,W."""
        picked = self.images.index_select(0, index.flatten())
        return scaled(picked, scale).view(*index.shape, *self.image_shape)

    def classes(self, index: Tensor) -> Tensor:
        """Return the labels at `index` (int64, any shape): int64 of that shape.

        Raises `InputError` for a set without labels.
        """
        if self.labels is None:
            raise InputError(f"{self.name} has no labels; a conditional model needs them")
        return self.labels.index_select(0, index.flatten()).view(index.shape)


def scaled(images: Tensor, scale: Scale) -> Tensor:
    """Scale uint8 0..255 to float32 in [-1, 1] ("signed", for tanh) or [0, 1] ("unit").

    >>> scaled(torch.tensor([0, 51, 255], dtype=torch.uint8), "unit")
    tensor([0.0000, 0.2000, 1.0000])
    """
    if scale == "signed":
        return images.float().div_(127.5).sub_(1)
    return images.float().div_(255)


def to_uint8(x: Tensor, scale: Scale) -> NDArray[np.uint8]:
    """Reverse `scaled`: float N,C,H,W -> uint8 N,H,W,C, rounded to the nearest level and clamped.

    >>> to_uint8(torch.tensor([-1.0, 0.2, 1.5]).view(1, 1, 1, 3), "signed").ravel().tolist()
    [0, 153, 255]
    """
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
    """Return a training set from arrays: uint8 N,H,W,C with C 1 or 3, and N labels or None.

    Raises `InputError` for images of another shape or type, a side above 64 px, and labels that do
    not fit.
    """
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[3] not in (1, 3):
        raise InputError(
            f"{name}: expected images as uint8 N,H,W,C, got {images.dtype} {images.shape}"
        )
    num, height, width, _ = images.shape
    if num == 0 or max(height, width) > MAX_SIDE_PX:
        raise InputError(
            f"{name}: {num} images of {width}x{height} px; the baselines need at least one image "
            f"and sides of at most {MAX_SIDE_PX} px: --resize {MAX_SIDE_PX}x{MAX_SIDE_PX}"
        )
    if labels is not None and (labels.shape != (num,) or labels.min() < 0):
        raise InputError(
            f"{name}: expected {num} labels of 0 or more for {num} images, got {labels.shape}"
        )
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
    resize: str | None = None,
) -> TrainingSet:
    """Load a split of a named data set (downloaded if allowed), or a folder, zip, npz or npy of
    images of one size. `resize` (WIDTHxHEIGHT in px) brings images of other sizes to one.

    A folder or zip may hold a folder of images for each class; the sorted names of these folders
    are the labels 0, 1, ...

    Raises `UnknownNameError` for a name that is neither a data set nor a path, `InvalidSubmission`
    for files that are not images of one size and kind, and what `load_dataset` raises.
    """
    size = None if resize is None else parse_size(resize)
    if is_dataset_name(source):
        data = load_dataset(source, split, data_root=data_root, download=download)
        pixels = data.images
        if size not in (None, pixels.shape[1:3]):
            pixels = resize_array(pixels, size)
        return training_set(pixels, data.labels, name=source, device=device)
    if not split_array_name(source)[0].exists():
        raise UnknownNameError("data set", source, [*VALID_NAMES, "a folder, zip, npz or npy"])
    try:
        report = read_images(source, resize=size, classes=True)
    except InvalidSubmission as error:
        raise InvalidSubmission(
            f"{source}: cannot train on this folder or archive: all files must be images of one "
            f"size and kind{_resize_hint(error, resize)}; `latentbench audit {sanitise(source)}` "
            "lists every file",
            error.findings,
        ) from error
    if report.images is None:
        raise InputError(f"{source}: no images to train on")
    return training_set(report.images.images, report.labels, name=sanitise(source), device=device)


def _resize_hint(error: InvalidSubmission, resize: str | None) -> str:
    sizes_differ = any(finding.code == "mixed-sizes" for finding in error.findings)
    return ", or give --resize WIDTHxHEIGHT" if sizes_differ and resize is None else ", as above"
