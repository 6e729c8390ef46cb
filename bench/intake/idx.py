"""MNIST idx files, plain or .gz, read strictly (http://yann.lecun.com/exdb/mnist).

Layout: two zero bytes, a type code (0x08 = unsigned byte, the only one accepted), the number of
axes, each axis as a big-endian uint32, then the values in C order and nothing after them.

The header is judged before the values are read or inflated.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, reason_of
from bench.intake.formats import MAX_ARRAY_BYTES, MAX_RATIO, RATIO_FREE_BYTES

UNSIGNED_BYTE = 0x08
MAX_AXES = 8
MAX_HEADER_BYTES = 4 + 4 * MAX_AXES
GZIP_WBITS = 31  # zlib reads the gzip format and checks its CRC
PART_BYTES = 1 << 20  # of a gzip file, read at a time


class _Header(NamedTuple):
    shape: tuple[int, ...]
    num_bytes: int  # of the header

    @property
    def num_values(self) -> int:
        return math.prod(self.shape)


def parse_idx(data: bytes | bytearray, name: str) -> NDArray[np.uint8]:
    """Return the array in an idx file's bytes, with the shape that its header states.

    Raises `InputError`, which names the file by `name` and says what is wrong.

    >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 2, 5, 9]), "labels")
    array([5, 9], dtype=uint8)
    """
    header = _header(bytes(data[:MAX_HEADER_BYTES]), len(data), name)
    _require_values(header, len(data), name)
    values = np.frombuffer(data, np.uint8, offset=header.num_bytes).reshape(header.shape)
    return values if values.flags.writeable else values.copy()


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array of an idx file, decompressed if its name ends in .gz.

    Raises `InputError` for a file that cannot be read, is damaged or is larger than 2 GiB, and for
    one that inflates far more than images do.
    """
    name = str(path)
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            _require_size(size, name)
            if path.suffix == ".gz":
                return parse_idx(_inflate(stream, size, name), name)
            head = stream.read(MAX_HEADER_BYTES)
            _require_values(_header(head, size, name), size, name)
            return parse_idx(head + stream.read(size), name)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as an idx file: {reason_of(error)}") from error


def _header(head: bytes, size: int, name: str) -> _Header:
    """Return the header at the beginning of a file of `size` bytes. Raises `InputError`."""
    if len(head) < 4 or head[:2] != b"\0\0":
        raise InputError(f"{name}: not an idx file (it must begin with two zero bytes)")
    type_code, num_axes = head[2], head[3]
    if type_code != UNSIGNED_BYTE:
        raise InputError(
            f"{name}: idx type code 0x{type_code:02x}; only 0x08 (unsigned byte) is accepted"
        )
    if num_axes > MAX_AXES:
        raise InputError(
            f"{name}: {num_axes} axes; images have 3 or 4, at most {MAX_AXES} are read"
        )
    num_bytes = 4 + 4 * num_axes
    if num_axes == 0 or len(head) < num_bytes:
        raise InputError(f"{name}: idx header cut short ({size} bytes, {num_axes} axes)")
    return _Header(struct.unpack(f">{num_axes}I", head[4:num_bytes]), num_bytes)


def _require_size(num_bytes: int, name: str) -> None:
    if num_bytes > MAX_ARRAY_BYTES:
        raise InputError(f"{name}: more than {MAX_ARRAY_BYTES} bytes; too large for an idx file")


def _require_values(header: _Header, size: int, name: str) -> None:
    follow = size - header.num_bytes
    if follow != header.num_values:
        raise InputError(
            f"{name}: idx header states shape {header.shape}, {header.num_values} values, "
            f"but {follow} follow; the file is damaged or incomplete"
        )


def _inflate(stream: IO[bytes], size: int, name: str) -> bytearray:
    """Return the contents of a gzip file of `size` bytes: as many bytes as the idx header states,
    and one more where there are more.
    """
    inflater = zlib.decompressobj(GZIP_WBITS)
    head = inflater.decompress(stream.read(PART_BYTES), MAX_HEADER_BYTES)
    header = _header(head, size, name)
    expected = header.num_bytes + header.num_values
    _require_size(expected, name)
    if expected > max(RATIO_FREE_BYTES, MAX_RATIO * size):
        raise InputError(
            f"{name}: {size} bytes that claim to inflate to {expected}, far more than images do"
        )
    data = bytearray(head)
    while not inflater.eof and len(data) <= expected:
        packed = inflater.unconsumed_tail or stream.read(PART_BYTES)
        if not packed:
            raise EOFError("the compressed data has no end")
        data += inflater.decompress(packed, min(PART_BYTES, expected + 1 - len(data)))
    if len(data) > expected:
        raise InputError(
            f"{name}: idx header states shape {header.shape}, {header.num_values} values, "
            "but more follow"
        )
    if inflater.unused_data or stream.read(1):
        raise InputError(f"{name}: bytes after the end of the compressed data")
    return data
