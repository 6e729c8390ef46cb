"""The end record of a zip, which states how many entries the archive holds.

`zipfile` does not compare that number with the entries that it found: one flipped byte in a length
of the directory makes it skip entries without a word.

Source: PKWARE, .ZIP File Format Specification 6.3.10, sections 4.3.14 to 4.3.16.
"""

from __future__ import annotations

import os
import struct
import zipfile
from typing import BinaryIO

_END = struct.Struct("<4s4H2LH")  # signature, disks, entries here, entries, size, offset, comment
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_MAX_COMMENT = 0xFFFF
_MAX_ENTRIES = 0xFFFF  # of an end record without the 64-bit extension


def require_stated_entries(stream: BinaryIO, num_entries: int) -> None:
    """Raise `zipfile.BadZipFile` unless the end record states `num_entries` entries.

    Some programs write archives of more than 65,535 entries without the 64-bit extension; their
    number counts modulo 65,536.
    """
    size = stream.seek(0, os.SEEK_END)
    start = max(0, size - _MAX_COMMENT - _END.size)
    stream.seek(start)
    tail = stream.read(size - start)
    place = _end_place(tail)
    if place < 0:
        raise zipfile.BadZipFile("the end record is missing")
    stated = _END.unpack_from(tail, place)[4]
    found = num_entries & _MAX_ENTRIES
    if stated == _MAX_ENTRIES:
        exact = _entries_64(stream, start + place)
        stated, found = (stated, found) if exact is None else (exact, num_entries)
    if stated != found:
        raise zipfile.BadZipFile(
            f"the end record states {stated:,} entries, {found:,} can be read from the directory"
        )


def _end_place(tail: bytes) -> int:
    """Return where the end record begins, as `zipfile` finds it, or -1."""
    last = len(tail) - _END.size
    if last >= 0 and tail[last:].startswith(b"PK\5\6") and tail.endswith(b"\0\0"):
        return last  # no comment
    place = tail.rfind(b"PK\5\6")
    return place if place <= last else -1


def _entries_64(stream: BinaryIO, end: int) -> int | None:
    """Return the number of entries in the 64-bit end record before `end`, None without one."""
    place = end - _END64_LOCATOR.size - _END64.size
    if place < 0:
        return None
    stream.seek(place)
    data = stream.read(_END64.size + _END64_LOCATOR.size)
    if len(data) < _END64.size + _END64_LOCATOR.size or not data.startswith(b"PK\6\6"):
        return None
    return int(_END64.unpack_from(data)[7])
