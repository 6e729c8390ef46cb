"""One array of an npz file: which of its arrays holds the images, and its bytes.

An npz file may hold images beside labels, moments or a second split. Arrays are told apart by the
shapes in their headers. Where several could be the images, the caller must name one, by
`FILE.npz:NAME` in place of the path.

Shape legend: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, NothingFoundError, UsageError
from bench.intake.archive import entry_limits, read_directory, refuse_entry
from bench.intake.findings import Collector
from bench.intake.formats import MAX_ARRAY_BYTES, MAX_RATIO, RATIO_FREE_BYTES
from bench.runtime.npz import MAX_HEADER_BYTES, NpyHeader, read_npy_header
from bench.runtime.printable import sanitise

IMAGES = "images"  # the name that marks one of several image-shaped arrays as the images
MAX_MEMBERS = 1_000  # whose headers are read; more are no array file of images
MAX_LISTED = 10
PART_BYTES = 16 << 20  # read at a time


class Member(NamedTuple):
    """An array of an npz file; `header` is None if it cannot be read."""

    name: str
    info: zipfile.ZipInfo
    header: NpyHeader | None

    @property
    def could_be_images(self) -> bool:
        """Whether the shape is N,H,W, or N,H,W,C or N,C,H,W with C = 1 or 3."""
        shape = () if self.header is None else self.header.shape
        return len(shape) == 3 or (len(shape) == 4 and (shape[3] in (1, 3) or shape[1] in (1, 3)))

    def __str__(self) -> str:
        name = sanitise(self.name, 40)
        if self.header is None:
            return name
        return f"{name} {self.header.dtype.name} {','.join(map(str, self.header.shape))}"


def read_npy(
    stream: IO[bytes], num_bytes: int, name: bytes, collector: Collector
) -> NDArray[np.generic] | None:
    """Return the array in the `num_bytes` of an npy file; None and a finding for a bad header, of
    which nothing else is read.
    """
    head = stream.read(min(num_bytes, MAX_HEADER_BYTES))
    try:
        header = read_npy_header(head)
        if header.dtype.hasobject:
            collector.add("array-objects", [name])
            return None
        header.require_bytes(num_bytes)
        data = bytearray(head)
        while len(data) < num_bytes and (part := stream.read(PART_BYTES)):
            data += part
        return header.array(data)
    except InputError as error:
        collector.add("array-damaged", [name], sanitise(str(error), 160))
        return None


def read_member(
    path: Path, wanted: str | None, collector: Collector
) -> tuple[str | None, NDArray[np.generic] | None]:
    """Return the name of the array that holds the images and the array, or None and findings.

    Without a `wanted` name it is the only array, the only one shaped like images, or the one of
    these that is called `images`. Raises `UsageError` for a name that the file does not hold, and
    `NothingFoundError` for a file without arrays.
    """
    name = path.name.encode(errors="surrogateescape")
    infos, directory_start = read_directory(path, collector)
    if not infos:
        if not collector.has_errors:
            raise NothingFoundError(f"{sanitise(str(path))} holds no array")
        return None, None
    limits = entry_limits(infos, directory_start)
    members = _members(path, infos, limits)
    member = _choose(path, members, wanted)
    if member is None:
        hint = ""
        if {"mu", "sigma"} <= {member.name for member in members}:
            hint = "; mean and covariance of features can be a --reference"
        collector.add("array-choice", [name], f"it holds {_listed(members)}{hint}")
        return None, None
    info = member.info
    if refusal := refuse_entry(
        info,
        limits[id(info)],
        max_bytes=MAX_ARRAY_BYTES,
        max_ratio=MAX_RATIO,
        ratio_free_bytes=RATIO_FREE_BYTES,
    ):
        is_size = refusal in ("zip-ratio", "file-too-large")
        detail = f"{info.compress_size:,} bytes that inflate to {info.file_size:,}"
        collector.add("array-too-large" if is_size else refusal, [name], detail if is_size else "")
        return None, None
    try:
        with zipfile.ZipFile(path) as archive, archive.open(info) as stream:
            array = read_npy(stream, info.file_size, name, collector)
            return sanitise(member.name), array
    except Exception as error:  # noqa: BLE001 - BadZipFile, zlib.error, EOFError, ...
        collector.add("array-damaged", [name], sanitise(str(error)))
        return None, None


def _members(path: Path, infos: Sequence[zipfile.ZipInfo], limits: dict[int, int]) -> list[Member]:
    """Return the arrays with their headers, by name."""
    members = []
    for info in infos[:MAX_MEMBERS]:
        header = None
        # a small part of an entry is read, so that its size does not matter yet
        refusal = refuse_entry(info, limits[id(info)])
        if refusal in ("", "zip-ratio", "file-too-large"):
            try:
                with zipfile.ZipFile(path) as archive, archive.open(info) as stream:
                    header = read_npy_header(stream.read(MAX_HEADER_BYTES))
            except Exception:  # noqa: BLE001, S110 - it then has no shape
                pass
        members.append(Member(info.filename.removesuffix(".npy"), info, header))
    return sorted(members, key=lambda member: member.name)


def _choose(path: Path, members: Sequence[Member], wanted: str | None) -> Member | None:
    if wanted is not None:
        named = [member for member in members if member.name == wanted]
        if len(named) != 1:
            raise UsageError(
                f"{sanitise(str(path))} holds {'no' if not named else 'more than one'} array "
                f"{sanitise(wanted)!r}; it holds {_listed(members)}"
            )
        return named[0]
    if len(members) == 1:
        return members[0]
    candidates = [member for member in members if member.could_be_images]
    if len(candidates) > 1:
        candidates = [member for member in candidates if member.name == IMAGES]
    return candidates[0] if len(candidates) == 1 else None


def _listed(members: Sequence[Member]) -> str:
    shown = "; ".join(map(str, members[:MAX_LISTED]))
    more = len(members) - MAX_LISTED
    return shown + (f"; and {more:,} more" if more > 0 else "")
