"""Files that are written whole or not at all, and arrays as npz bytes without pickle."""

from __future__ import annotations

import io
import os
import threading
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

UNREADABLE = (  # what NumPy and zipfile raise for damaged, encrypted or foreign archives
    ValueError,
    OSError,
    KeyError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to a temporary file beside `path`, flush it to disk, move it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def arrays_to_bytes(arrays: Mapping[str, NDArray[np.generic]], *, compress: bool = False) -> bytes:
    """An npz archive of plain arrays; the same arrays give the same bytes.

    Written member by member: `np.savez` of older NumPy takes `allow_pickle` for an array.
    Raises `ValueError` for an array of objects.
    """
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)
    return buffer.getvalue()


def arrays_from_bytes(data: bytes, name: str) -> dict[str, NDArray[np.generic]]:
    """The arrays of an npz archive, never unpickling. Raises `InputError` naming `name`."""
    try:
        archive = np.load(io.BytesIO(data), allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError(f"{name}: expected an npz archive, got a single npy array")
        with archive:
            return {key: archive[key] for key in archive.files}
    except UNREADABLE as error:
        raise InputError(f"{name}: not a readable npz archive: {error}") from error
