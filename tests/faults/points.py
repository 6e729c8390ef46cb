"""Run a writer against every fault at every one of its operations.

For each of them, every file is afterwards whole and old, whole and new (in a version that the
writer gives it at some time), or absent as before. A file that grows holds its old lines, some of
the new ones and at most one torn line, which readers skip. Then the writer runs again, undisturbed,
and its result is the new one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import LatentbenchError
from tests.faults.disk import KILLS, Disk, Killed, Unseen, failing, faults_of

CLEAN_UP = ("unlink", "rmtree", "mkdir")  # whose failure need not be told
Files = dict[str, bytes]
Step = Callable[[Path], object]


def _nothing(_: Path) -> None:
    """Do nothing."""


def _same(_: str, data: bytes) -> bytes:
    return data


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Something that writes into a folder.

    `before` prepares the folder. `write` is what may fail. `read` raises, or returns something that
    must be one of the values that it returns before and after, for a folder in any state.
    `grows` are files of lines. `canonical` maps the bytes of a file to what two runs have in
    common. Paths that begin with one of `folders` are written as one: all of them are old, all new,
    or all absent.
    """

    name: str
    write: Step
    before: Step = _nothing
    read: Step | None = None
    grows: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    canonical: Callable[[str, bytes], bytes] = field(default=_same)
    swallows: bool = False  # errors, as a cache does
    again: bool = True  # whether the same call may be repeated


def files_in(folder: Path) -> Files:
    """Every file below a folder but the temporary ones, by its relative path."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            relative = path.relative_to(folder).as_posix()
            if not is_temporary(relative):
                found[relative] = path.read_bytes()
    return found


def is_temporary(relative: str) -> bool:
    """Return whether a killed process may leave this path behind: hidden, and named as temporary or
    below such a folder.
    """
    return any(part.startswith(".") and part != ".claim" for part in relative.split("/"))


def temporary_in(folder: Path) -> list[str]:
    paths = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    return [path for path in paths if is_temporary(path)]


def check(writer: Writer, folder: Path) -> int:
    """Run the writer against every fault at every operation; return the number of points."""
    start = folder / "start"
    start.mkdir(parents=True)
    with failing(Disk(start)):  # without waiting for a real disk
        writer.before(start)
    place = folder / "place"
    old, new, disk = _undisturbed(writer, start, place)
    readings = [_reading(writer, start), _reading(writer, place)]
    num_points = 0
    for at, operation in enumerate(disk.operations):
        for fault in faults_of(operation):
            where = f"{writer.name}: {fault} at operation {at} ({operation})"
            _reset(start, place)
            _run(writer, Disk(place, fault, at), where)
            found = files_in(place)
            _require_whole(writer, found, old, new, disk.versions, where)
            if writer.read is not None and not writer.grows:
                assert _reading(writer, place) in readings, where
            elif writer.read is not None:
                writer.read(place)
            if fault not in (*KILLS, "gone") and operation not in CLEAN_UP:
                assert not temporary_in(place), f"{where}: {temporary_in(place)}"
            if writer.again:
                with failing(Disk(place)):
                    writer.write(place)
                _require_new(writer, files_in(place), new, where)
            num_points += 1
    return num_points


def _undisturbed(writer: Writer, start: Path, place: Path) -> tuple[Files, Files, Disk]:
    """Run without a fault; return the files before and after, and the disk."""
    _reset(start, place)
    disk = Disk(place)
    with failing(disk), Unseen(disk) as unseen:
        writer.write(place)
    unseen.require_none()
    assert disk.operations, writer.name
    assert not temporary_in(place), writer.name
    return files_in(start), files_in(place), disk


def _reset(start: Path, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(start, place)


def _num_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _run(writer: Writer, disk: Disk, where: str) -> None:
    before = _num_descriptors()
    raised: BaseException | None = None
    with failing(disk):
        try:
            writer.write(Path(disk.root))
        except (OSError, LatentbenchError, Killed) as error:
            raised = error
    assert disk.happened, where
    may_be_silent = writer.swallows or disk.operations[disk.at] in CLEAN_UP
    assert raised is not None or may_be_silent, f"{where}: nobody was told"
    assert isinstance(raised, Killed) == (disk.fault in KILLS), where
    del raised
    assert _num_descriptors() == before, f"{where}: a descriptor stays open"


def _reading(writer: Writer, folder: Path) -> object:
    return None if writer.read is None else writer.read(folder)


def _require_whole(
    writer: Writer,
    found: Files,
    old: Files,
    new: Files,
    versions: Mapping[str, list[bytes]],
    where: str,
) -> None:
    for path in found.keys() | old.keys() | new.keys():
        if path in writer.grows:
            _require_lines(found.get(path, b""), old.get(path, b""), new[path], where, writer, path)
        elif not path.startswith(writer.folders or "\0"):
            seen = _canonical(writer, path, found)
            allowed = [_canonical(writer, path, old), _canonical(writer, path, new)]
            allowed += [writer.canonical(path, data) for data in versions.get(path, [])]
            assert seen in allowed, f"{where}: {path} is {found.get(path, b'absent')[:80]!r}"
    for prefix in writer.folders:
        parts = [
            {path: data for path, data in files.items() if path.startswith(prefix)}
            for files in (found, old, new)
        ]
        assert parts[0] in (*parts[1:], {}), f"{where}: {prefix} is neither old, new nor absent"


def _canonical(writer: Writer, path: str, files: Mapping[str, bytes]) -> bytes | None:
    return writer.canonical(path, files[path]) if path in files else None


def _require_lines(
    found: bytes, old: bytes, new: bytes, where: str, writer: Writer, path: str
) -> None:
    """Old lines first, then some of the new ones in their order; the last one may be torn."""
    whole, _, torn = found.rpartition(b"\n")
    lines = whole.split(b"\n") if whole else []
    expected = [writer.canonical(path, line) for line in new.split(b"\n")[:-1]]
    seen = [writer.canonical(path, line) for line in lines if line]
    assert found.startswith(old), f"{where}: {path} lost old lines"
    assert seen == expected[: len(seen)], f"{where}: {path} has other lines"
    if torn:
        assert new.startswith(found) or writer.canonical is not _same, f"{where}: {path}"
        assert "kill" in where or "torn" in where or "gone" in where, f"{where}: {path} is torn"


def _require_new(writer: Writer, found: Files, new: Files, where: str) -> None:
    assert found.keys() == new.keys(), f"{where}, then again: {found.keys() ^ new.keys()}"
    for path in new:
        if path not in writer.grows:
            same = _canonical(writer, path, found) == _canonical(writer, path, new)
            assert same, f"{where}, then again: {path}"
