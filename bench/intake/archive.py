"""The contents of a zip, from its directory alone; nothing is extracted.

`zipfile` reads the directory, which is safe. The checks that it lacks are here: number of entries
(as the end record states, and at most a million), paths, duplicates, overlaps (which Python checks
from 3.11.8 on), encryption, method and ratio. The decoding process inflates the entries later.
"""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path
from typing import NamedTuple

from bench.errors import UsageError
from bench.intake.decoder import Entry
from bench.intake.findings import Collector
from bench.intake.folder import Listing
from bench.intake.formats import MAX_FILE_BYTES, format_of_name
from bench.intake.names import is_clean, is_dropping
from bench.runtime.printable import sanitise
from bench.runtime.zip_end import require_stated_entries

MAX_ENTRIES = 1_000_000
MAX_DIRECTORY_BYTES = 128 << 20
# PNG hardly shrinks in a zip. Files that inflate to less than RATIO_FREE_BYTES are harmless.
MAX_RATIO = 100
RATIO_FREE_BYTES = 1 << 20
LOCAL_HEADER_BYTES = 30
UTF8_FLAG = 0x800
ENCRYPTED_FLAG = 0x1


class _TooLarge(Exception):
    """The directory is larger than that of any well-meant archive."""


class _BoundedReader(io.FileIO):
    """A file that refuses the one read by which `zipfile` would load an enormous directory."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_DIRECTORY_BYTES:
            raise _TooLarge
        return super().read(-1 if size is None else size) or b""


def list_archive(path: Path, collector: Collector, *, classes: bool = False) -> Listing:
    """List the image entries of a zip, without the top folder that all of them share.

    `classes` is that of `list_folder`. A damaged archive is a finding. Raises `UsageError` if the
    file cannot be read.
    """
    listing = Listing()
    infos, directory_start = read_directory(path, collector)
    limits = entry_limits(infos, directory_start)
    names = {id(info): raw_name(info) for info in infos}
    files = []
    for info in infos:
        name = names[id(info)]
        if is_unsafe(name):
            collector.add("zip-unsafe-path", [name])
            listing.num_images += format_of_name(name) is not None
        elif is_dropping(name):
            collector.add("ignored-file", [name])
        elif not name.endswith(b"/"):
            files.append(info)
    top = common_top([names[id(info)] for info in files])
    seen: set[bytes] = set()
    nested: set[bytes] = set()
    labelled: set[bytes] = set()
    in_classes = classes and not any(
        b"/" not in names[id(info)][len(top) :] and format_of_name(names[id(info)])
        for info in files
    )
    for info in files:
        name = names[id(info)][len(top) :]
        folder, slash, rest = name.partition(b"/")
        if slash and (b"/" in rest or not in_classes):
            nested.add(folder)
            continue
        if format_of_name(name) is None:
            collector.add("junk-file", [name])
            listing.others.append(name)
            continue
        if slash:
            labelled.add(folder)
        listing.num_images += 1
        if not is_clean(name):
            collector.add("bad-name", [name])
        refusal = "zip-duplicate" if name in seen else refuse_entry(info, limits[id(info)])
        seen.add(name)
        if refusal:
            collector.add(refusal, [name])
        else:
            member = (info.header_offset, info.compress_size, info.file_size, info.compress_type)
            listing.add(name, Entry(name, (*member, info.CRC, limits[id(info)])))
    if nested:
        collector.add("nested-folder", nested)
    listing.subfolders = sorted(nested)
    listing.classes = sorted(labelled)
    listing.sort()
    return listing


class Directory(NamedTuple):
    """The entries of a zip, and the offset at which its directory begins."""

    infos: list[zipfile.ZipInfo]
    start: int


def read_directory(path: Path, collector: Collector) -> Directory:
    """Return the entries of a zip; none, and a finding, if its directory is damaged or enormous.

    Raises `UsageError` if the file cannot be read.
    """
    nothing = Directory([], 0)
    name = path.name.encode(errors="surrogateescape")
    try:
        with _BoundedReader(path) as stream, zipfile.ZipFile(stream) as archive:
            directory = Directory(archive.infolist(), archive.start_dir)
            require_stated_entries(stream, len(directory.infos))
    except _TooLarge:
        detail = f"directory of more than {MAX_DIRECTORY_BYTES:,} bytes"
        collector.add("zip-too-many", [name], detail)
        return nothing
    except OSError as error:
        raise UsageError(f"{sanitise(str(path))} cannot be read: {error.strerror}") from error
    except Exception as error:  # noqa: BLE001 - BadZipFile, struct.error, ValueError, ...
        collector.add("zip-damaged", [name], sanitise(str(error)) or "no zip directory")
        return nothing
    if len(directory.infos) > MAX_ENTRIES:
        collector.add("zip-too-many", [name], f"{len(directory.infos):,} entries")
        return nothing
    return directory


def entry_limits(infos: list[zipfile.ZipInfo], directory_start: int) -> dict[int, int]:
    """Return, for the id of each entry, the offset that its data must not exceed.

    That is the start of the next entry or, for the last one, of the directory.
    """
    ordered = sorted(infos, key=lambda info: info.header_offset)
    starts = [info.header_offset for info in ordered[1:]]
    return {
        id(info): min(start, directory_start)
        for info, start in zip(ordered, [*starts, directory_start], strict=False)
    }


def refuse_entry(
    info: zipfile.ZipInfo,
    limit: int,
    *,
    max_bytes: int = MAX_FILE_BYTES,
    max_ratio: int = MAX_RATIO,
    ratio_free_bytes: int = RATIO_FREE_BYTES,
) -> str:
    """Return the code of the finding that keeps an entry from being read, or ""."""
    end = info.header_offset + LOCAL_HEADER_BYTES + info.compress_size
    stored = info.compress_type == zipfile.ZIP_STORED
    checks = {
        "zip-symlink": stat.S_ISLNK(info.external_attr >> 16),
        "zip-encrypted": info.flag_bits & ENCRYPTED_FLAG,
        "zip-method": not stored and info.compress_type != zipfile.ZIP_DEFLATED,
        "zip-damaged": info.header_offset < 0 or (stored and info.file_size != info.compress_size),
        "zip-overlap": end > limit,
        "zip-ratio": info.file_size > max(ratio_free_bytes, max_ratio * info.compress_size),
        "file-too-large": max(info.file_size, info.compress_size) > max_bytes,
    }
    return next((code for code, failed in checks.items() if failed), "")


def raw_name(info: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a name in the archive (zipfile decodes UTF-8 or code page 437)."""
    name = info.orig_filename
    return name.encode("utf-8" if info.flag_bits & UTF8_FLAG else "cp437")


def is_unsafe(name: bytes) -> bool:
    """Return whether unpacking this name could write outside the target folder on any system."""
    parts = name.replace(b"\\", b"/").split(b"/")
    drive = name[1:2] == b":" and name[:1].isalpha()
    return b".." in parts or parts[0] == b"" or drive or b"\0" in name


def common_top(names: list[bytes]) -> bytes:
    """Return `folder/` if every name begins with it, else an empty string."""
    tops = {name.partition(b"/")[0] if b"/" in name else b"" for name in names}
    top = tops.pop() if len(tops) == 1 else b""
    return top + b"/" if top else b""
