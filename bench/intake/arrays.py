"""Images in one array: npy and npz files of uint8, and MNIST idx files.

Headers are checked before anything is allocated or inflated: an npy header can claim 8 TB, and an
npz file of 194 kB can hold 200 MB. Nothing is unpickled.

Shape legend: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, NothingFoundError, UsageError
from bench.intake.findings import Collector
from bench.intake.formats import MAX_ARRAY_BYTES
from bench.intake.idx import read_idx
from bench.intake.npz import read_member, read_npy
from bench.intake.pixels import resize
from bench.runtime.printable import sanitise


class ArrayImages(NamedTuple):
    """The images (uint8 N,H,W,C) of an array file, and the name of the array in an npz file."""

    images: NDArray[np.uint8]
    array_name: str | None


def read_array(
    path: Path, kind: str, collector: Collector, *, array_name: str | None = None
) -> ArrayImages | None:
    """Return the images of an npz, npy or idx file, or None and findings.

    `array_name` chooses an array of an npz file. Raises `NothingFoundError` for an array without
    images, and `UsageError` for a file that cannot be read and for a name that it does not hold.
    """
    name = path.name.encode(errors="surrogateescape")
    array: NDArray[np.generic] | None
    if kind == "idx":
        array = _read_idx(path, name, collector)
    elif kind == "npz":
        array_name, array = read_member(path, array_name, collector)
    else:
        array = _read_npy(path, name, collector)
    if array is None:
        return None
    images = _as_images(array, name, collector)
    if images is None:
        return None
    if len(images) == 0:
        raise NothingFoundError(f"{sanitise(str(path))} holds an array of 0 images")
    return ArrayImages(images, array_name)


def _read_idx(path: Path, name: bytes, collector: Collector) -> NDArray[np.uint8] | None:
    try:
        return read_idx(path)
    except InputError as error:
        collector.add("array-damaged", [name], sanitise(str(error), 240))
        return None


def _read_npy(path: Path, name: bytes, collector: Collector) -> NDArray[np.generic] | None:
    try:
        with path.open("rb") as stream:
            num_bytes = os.fstat(stream.fileno()).st_size
            if num_bytes > MAX_ARRAY_BYTES:
                collector.add("array-too-large", [name], f"{num_bytes:,} bytes")
                return None
            return read_npy(stream, num_bytes, name, collector)
    except OSError as error:
        raise UsageError(f"{sanitise(str(path))} cannot be read: {error.strerror}") from error


def _as_images(
    array: NDArray[np.generic], name: bytes, collector: Collector
) -> NDArray[np.uint8] | None:
    """Return uint8 N,H,W,C, or None and all findings about dtype, values and shape."""
    if array.dtype != np.uint8:
        collector.add("array-dtype", [name], f"dtype {sanitise(str(array.dtype), 40)}")
        if np.issubdtype(array.dtype, np.inexact) and array.ndim > 0:
            rows = array.reshape(len(array), math.prod(array.shape[1:]))
            bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
            if len(bad):
                collector.add("array-nan", index_names(len(array), bad.tolist()))
    shape = array.shape
    is_grey = array.ndim == 3
    is_colour = array.ndim == 4 and shape[3] in (1, 3)
    if not (is_grey or is_colour) or 0 in shape[1:]:
        hint = ""
        if array.ndim == 4 and shape[1] in (1, 3):
            hint = "; channels come last: array.transpose(0, 2, 3, 1)"
        collector.add("array-shape", [name], f"shape {shape}{hint}")
        return None
    if array.dtype != np.uint8:
        return None
    images = array.astype(np.uint8, order="C", copy=False)
    return images[..., None] if is_grey else images


def index_names(num_images: int, indices: list[int] | range | None = None) -> list[bytes]:
    """Return names for images without one: their index, padded with zeros to sort by it.

    >>> index_names(11)[:2]
    [b'00', b'01']
    """
    width = len(str(max(0, num_images - 1)))
    chosen = range(num_images) if indices is None else indices
    return [b"%0*d" % (width, i) for i in chosen]


def resize_array(images: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize images (uint8 N,H,W,C) to `size` (height, width), each as one from a file would be."""
    from PIL import Image  # not needed for an array that is not resized

    resized = np.empty((len(images), *size, images.shape[3]), np.uint8)
    for image, target in zip(images, resized, strict=True):
        picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        target[...] = np.asarray(resize(picture, size)).reshape(target.shape)
    return resized
