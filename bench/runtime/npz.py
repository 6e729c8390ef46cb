"""Arrays as the bytes of an npz archive, without pickle.

Every npy header of the package is read here, whether the file is our own or somebody else's. A
header is data like any other: it can claim 8 TB, a dimension of 8,000 digits or a dtype that does
not exist. Nothing is allocated before the header agrees with the number of bytes that follow it.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from bench.errors import InputError
from bench.runtime.zip_end import require_stated_entries

UNREADABLE = (  # what zipfile raises for damaged, encrypted or foreign archives
    ValueError,
    OSError,
    KeyError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
MAX_HEADER_BYTES = 16 << 10
MAX_AXES = 32
MAX_DIMENSION = 1 << 48
MAX_ARCHIVE_BYTES = 16 << 30  # of the inflated arrays together
# Arrays of equal values shrink as far as deflate can (about 1,030 to 1), so a high ratio is refused
# only if an archive inflates to more than RATIO_FREE_BYTES.
MAX_RATIO = 200
RATIO_FREE_BYTES = 1 << 30
_READERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}


class NpyHeader(NamedTuple):
    """The header of an npy file: the array that it describes, and its own number of bytes."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[np.generic]
    num_bytes: int

    def require_bytes(self, num_bytes: int) -> None:
        """Raise `InputError` unless the file has the `num_bytes` that the header states."""
        follow = num_bytes - self.num_bytes
        if math.prod(self.shape) * self.dtype.itemsize != follow:
            raise InputError(
                f"header states shape {self.shape} of {self.dtype}, {follow:,} bytes follow"
            )

    def array(self, data: bytes | bytearray) -> NDArray[np.generic]:
        """Return the array as a view of `data`, the whole file. Raises `InputError`."""
        if self.dtype.hasobject:
            raise InputError("it holds Python objects; loading it could run code")
        self.require_bytes(len(data))
        array = np.frombuffer(data, self.dtype, offset=self.num_bytes)
        return array.reshape(self.shape, order="F" if self.fortran_order else "C")


def read_npy_header(head: bytes) -> NpyHeader:
    """Return the header at the beginning of an npy file, from its first `MAX_HEADER_BYTES`.

    Raises `InputError` for anything that describes no array that NumPy could hold.
    """
    stream = io.BytesIO(head[:MAX_HEADER_BYTES])
    try:
        shape, fortran_order, dtype = _READERS[npy_format.read_magic(stream)](stream)
        problem = _problem(shape, dtype)
    except Exception as error:  # ValueError, KeyError (version), TypeError, RecursionError, ...
        raise InputError(f"bad npy header ({str(error)[:80]})") from error
    if problem is not None:
        raise InputError(f"bad npy header ({problem})")
    return NpyHeader(shape, fortran_order, dtype, stream.tell())


def _problem(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> str | None:
    """Return why there is no such array, or None. Booleans and enormous numbers pass NumPy's own
    check of the shape, and an array of dtype ('|u1', (3,)) has another shape than it states.
    """
    problem = None
    if len(shape) > MAX_AXES:
        problem = f"{len(shape)} axes, at most {MAX_AXES} are accepted"
    elif not all(type(size) is int for size in shape):
        problem = "a dimension that is not an integer"
    elif not all(0 <= size <= MAX_DIMENSION for size in shape):
        problem = "a dimension that is negative or enormous"
    elif dtype.subdtype is not None:
        problem = "a dtype that is an array itself"
    elif dtype.itemsize == 0:
        problem = "a dtype of 0 bytes"
    elif math.prod(size or 1 for size in shape) * dtype.itemsize >= 1 << 62:
        problem = "dimensions whose product is enormous"
    return problem


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

    Raises `InputError` for bytes that are not such an archive, and for an archive that inflates far
    more than arrays do. The message begins with `name` and names the array at fault.
    """
    if data.startswith(npy_format.MAGIC_PREFIX):
        raise InputError(f"{name}: expected an npz archive, got a single npy array")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            require_stated_entries(io.BytesIO(data), len(infos))
            _require_sane_size(sum(info.file_size for info in infos), len(data), name)
            return {
                info.filename.removesuffix(".npy"): _member(archive, info, name) for info in infos
            }
    except UNREADABLE as error:
        raise InputError(f"{name}: not a readable npz archive: {error}") from error


def _require_sane_size(inflated: int, packed: int, name: str) -> None:
    if inflated > min(MAX_ARCHIVE_BYTES, max(RATIO_FREE_BYTES, MAX_RATIO * packed)):
        raise InputError(f"{name}: {packed:,} bytes that claim to inflate to {inflated:,}")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> NDArray[np.generic]:
    """Return one array of an archive. Raises `InputError`, and one of `UNREADABLE`."""
    with archive.open(info) as stream:
        head = stream.read(MAX_HEADER_BYTES)
        try:
            header = read_npy_header(head)
            if not header.dtype.hasobject:
                header.require_bytes(info.file_size)
            buffer = bytearray(head)
            buffer += stream.read(info.file_size)
            return header.array(buffer)
        except InputError as error:
            array = info.filename.removesuffix(".npy")
            raise InputError(f"{name}: array {array!r}: {error}") from error
