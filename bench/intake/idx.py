"""MNIST idx files, plain or .gz, read strictly (http://yann.lecun.com/exdb/mnist).

Layout: two zero bytes, a type code (0x08 = unsigned byte, the only one accepted), the number of
axes, each axis as a big-endian uint32, then the values in C order and nothing after them.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

UNSIGNED_BYTE = 0x08
MAX_BYTES = 1 << 31


def parse_idx(data: bytes, name: str) -> NDArray[np.uint8]:
    """Return the array in an idx file's bytes, with the shape that its header states.

    Raises `InputError`, which names the file by `name` and says what is wrong.

    >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 2, 5, 9]), "labels")
    array([5, 9], dtype=uint8)
    """
    if len(data) < 4 or data[:2] != b"\0\0":
        raise InputError(f"{name}: not an idx file (it must begin with two zero bytes)")
    type_code, num_axes = data[2], data[3]
    if type_code != UNSIGNED_BYTE:
        raise InputError(
            f"{name}: idx type code 0x{type_code:02x}; only 0x08 (unsigned byte) is accepted"
        )
    header_size = 4 + 4 * num_axes
    if num_axes == 0 or len(data) < header_size:
        raise InputError(f"{name}: idx header cut short ({len(data)} bytes, {num_axes} axes)")
    shape = struct.unpack(f">{num_axes}I", data[4:header_size])
    expected = 1
    for axis in shape:
        expected *= axis
    if len(data) - header_size != expected:
        raise InputError(
            f"{name}: idx header states shape {shape}, {expected} values, "
            f"but {len(data) - header_size} follow; the file is damaged or incomplete"
        )
    return np.frombuffer(data, np.uint8, offset=header_size).reshape(shape).copy()


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Return the array of an idx file, decompressed if its name ends in .gz.

    Raises `InputError` for a file that cannot be read, is damaged or is larger than 2 GiB.
    """
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        else:
            with path.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as an idx file: {error}") from error
    if len(data) > MAX_BYTES:
        raise InputError(f"{path}: more than {MAX_BYTES} bytes; too large for an idx file")
    return parse_idx(data, str(path))
