"""Images in one array: npy and npz files of uint8, and MNIST idx files.

Headers are checked before anything is allocated or inflated: an npy header can claim 8 TB, and an
npz file of 194 kB can hold 200 MB. Nothing is unpickled.

Shape legend: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from bench.errors import InputError, NothingFoundError, UsageError
from bench.intake.archive import entry_limits, read_directory, refuse_entry
from bench.intake.findings import Collector
from bench.intake.formats import MAX_ARRAY_BYTES
from bench.intake.idx import read_idx
from bench.intake.names import sanitise
from bench.intake.pixels import resize

PREFERRED = ("images", "arr_0", "x_train", "x_test", "x", "samples", "data")
MAX_HEADER_BYTES = 16 << 10
# Blank images, which are a finding about content, shrink as far as deflate can (about 1,030 to 1).
# So a high ratio is refused only if the array inflates to more than RATIO_FREE_BYTES.
MAX_RATIO = 200
RATIO_FREE_BYTES = 256 << 20
READERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}


def read_array(path: Path, kind: str, collector: Collector) -> NDArray[np.uint8] | None:
    """Return the images (uint8 N,H,W,C) of an npz, npy or idx file, or None and findings.

    Raises `NothingFoundError` for an array without images, and `UsageError` for a file that cannot
    be read.
    """
    name = path.name.encode(errors="surrogateescape")
    array: NDArray[np.generic] | None
    if kind == "idx":
        array = _read_idx(path, name, collector)
    else:
        data = (
            _read_npz(path, name, collector) if kind == "npz" else _read_npy(path, name, collector)
        )
        array = None if data is None else _parse_npy(data, name, collector)
    if array is None:
        return None
    images = _as_images(array, name, collector)
    if images is not None and len(images) == 0:
        raise NothingFoundError(f"{sanitise(str(path))} holds an array of 0 images")
    return images


def _read_idx(path: Path, name: bytes, collector: Collector) -> NDArray[np.uint8] | None:
    try:
        return read_idx(path)
    except InputError as error:
        collector.add("array-damaged", [name], sanitise(str(error), 240))
        return None


def _read_npy(path: Path, name: bytes, collector: Collector) -> bytes | None:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_ARRAY_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{sanitise(str(path))} cannot be read: {error.strerror}") from error
    if len(data) > MAX_ARRAY_BYTES:
        collector.add("array-too-large", [name], f"more than {MAX_ARRAY_BYTES:,} bytes")
        return None
    return data


def _read_npz(path: Path, name: bytes, collector: Collector) -> bytes | None:
    """Return the bytes of the one member that holds images, or None and findings."""
    infos, directory_start = read_directory(path, collector)
    if not infos:
        if not collector.has_errors:
            raise NothingFoundError(f"{sanitise(str(path))} holds no array")
        return None
    info = _choose(infos)
    if info is None:
        listed = ", ".join(sorted(sanitise(member.filename, 40) for member in infos)[:10])
        collector.add("array-choice", [name], f"it holds {listed}")
        return None
    limit = entry_limits(infos, directory_start)[id(info)]
    if refusal := refuse_entry(
        info,
        limit,
        max_bytes=MAX_ARRAY_BYTES,
        max_ratio=MAX_RATIO,
        ratio_free_bytes=RATIO_FREE_BYTES,
    ):
        is_size = refusal in ("zip-ratio", "file-too-large")
        detail = f"{info.compress_size:,} bytes that inflate to {info.file_size:,}"
        collector.add("array-too-large" if is_size else refusal, [name], detail if is_size else "")
        return None
    try:
        with zipfile.ZipFile(path) as archive, archive.open(info) as stream:
            return stream.read(info.file_size + 1)
    except Exception as error:  # noqa: BLE001 - BadZipFile, zlib.error, EOFError, ...
        collector.add("array-damaged", [name], sanitise(str(error)))
        return None


def _choose(infos: list[zipfile.ZipInfo]) -> zipfile.ZipInfo | None:
    """Return the only member, or the only one with the first preferred name that occurs."""
    if len(infos) == 1:
        return infos[0]
    for preferred in PREFERRED:
        matches = [info for info in infos if info.filename == f"{preferred}.npy"]
        if matches:
            return matches[0] if len(matches) == 1 else None
    return None


def _parse_npy(data: bytes, name: bytes, collector: Collector) -> NDArray[np.generic] | None:
    """Return the array of an npy file, a view of `data`, if its header and size agree."""
    stream = io.BytesIO(data[:MAX_HEADER_BYTES])
    try:
        shape, fortran, dtype = READERS[npy_format.read_magic(stream)](stream)
    except Exception as error:  # noqa: BLE001 - ValueError, KeyError (version), TypeError, ...
        collector.add("array-damaged", [name], f"bad npy header ({sanitise(str(error), 80)})")
        return None
    if dtype.hasobject:
        collector.add("array-objects", [name])
        return None
    num_values, follow = math.prod(shape), len(data) - stream.tell()
    if min(shape, default=0) < 0 or num_values * dtype.itemsize != follow:
        detail = f"header states shape {shape} of {dtype}, {follow:,} bytes follow"
        collector.add("array-damaged", [name], sanitise(detail))
        return None
    if dtype.itemsize == 0:
        collector.add("array-dtype", [name], f"dtype {dtype}")
        return None
    array = np.frombuffer(data, dtype, offset=stream.tell())
    return array.reshape(shape, order="F" if fortran else "C")


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
