"""Arrays as the bytes of an npz archive, without pickle."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping

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


def arrays_to_bytes(arrays: Mapping[str, NDArray[np.generic]], *, compress: bool = False) -> bytes:
    """Return an npz archive of arrays as bytes; equal arrays give equal bytes.

    Raises `ValueError` for an array of objects, which would need pickle.

    >>> data = arrays_to_bytes({"x": np.arange(3)})
    >>> arrays_from_bytes(data, "example")["x"]
    array([0, 1, 2])
    """
    # Written member by member: `np.savez` of older NumPy takes `allow_pickle` for an array.
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)
    return buffer.getvalue()


def arrays_from_bytes(data: bytes, name: str) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of an npz archive, by name, without pickle.

    Raises `InputError` for bytes that are not such an archive; the message begins with `name`.
    """
    try:
        archive = np.load(io.BytesIO(data), allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError(f"{name}: expected an npz archive, got a single npy array")
        with archive:
            return {key: archive[key] for key in archive.files}
    except UNREADABLE as error:
        raise InputError(f"{name}: not a readable npz archive: {error}") from error
