"""Every writer against every fault at every operation; see `tests.faults.disk`."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.runtime import whole_files
from bench.runtime.whole_files import append_line, write_atomically
from tests.faults.disk import Disk, Killed, failing
from tests.faults.points import Writer, check
from tests.faults.writers import WRITERS

MIN_POINTS = 2_000
counted: dict[str, int] = {}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the system has one: other work on the disk is no matter here."""
    memory = Path("/dev/shm")  # noqa: S108
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


@pytest.fixture(autouse=True)
def plain_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a figure shows takes long and is no matter of the disk."""
    monkeypatch.setattr("bench.anomaly.folder.files.roc_figure", lambda *_: None)
    monkeypatch.setattr("bench.anomaly.folder.files.figure_svg", lambda _: "<svg/>")


# Pillow leaves the stream of a failed write to the garbage collector, which tries again and fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name.replace(" ", "-"))
def test_every_fault_leaves_whole_files(writer: Writer, folder: Path) -> None:
    counted[writer.name] = check(writer, folder)
    assert counted[writer.name] > 10


def test_there_are_enough_points() -> None:
    """After the tests above; with a part of them only, there is nothing to count."""
    if len(counted) == len(WRITERS):
        assert sum(counted.values()) >= MIN_POINTS, counted


# The harness must see what it is there to see.


def test_a_plain_write_is_found_out(tmp_path: Path) -> None:
    writer = Writer(
        name="plain",
        before=lambda folder: (folder / "a").write_bytes(b"old"),
        write=lambda folder: (folder / "a").write_bytes(b"new and longer"),
    )
    with pytest.raises(AssertionError, match=r"plain: .*: a is b''"):
        check(writer, tmp_path)


def test_a_move_without_a_flush_is_found_out(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / ".a.tmp").write_bytes(b"new")
        (folder / ".a.tmp").replace(folder / "a")

    with pytest.raises(AssertionError, match="moved to its place before it is flushed"):
        check(Writer(name="unflushed", write=write), tmp_path)


def test_a_writer_past_the_harness_is_found_out(tmp_path: Path) -> None:
    real = os.open

    def write(folder: Path) -> None:
        os.close(real(folder / "a", os.O_CREAT | os.O_WRONLY))
        (folder / "b").mkdir()

    with pytest.raises(AssertionError, match="goes past the disk"):
        check(Writer(name="past", write=write), tmp_path)


def test_a_silent_loss_is_found_out(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        try:
            write_atomically(folder / "a", b"new")
        except OSError:
            return

    with pytest.raises(AssertionError, match="nobody was told"):
        check(Writer(name="silent", write=write), tmp_path)


def test_a_dead_process_does_nothing_more(tmp_path: Path) -> None:
    """Neither clean-up nor a buffer that is flushed when its file is closed."""
    disk = Disk(tmp_path, "kill", 1)  # at the write, after the file was opened
    with failing(disk):
        stream = (tmp_path / "a").open("wb")
        stream.write(b"in the buffer")
        with pytest.raises(Killed):
            stream.flush()
        with pytest.raises(Killed):
            (tmp_path / "a").unlink()
        stream.close()
    assert (tmp_path / "a").read_bytes() == b""


def test_appending_with_a_buffer_would_tear_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `append_line` does when its truncation is taken away."""
    monkeypatch.setattr(whole_files.os, "ftruncate", lambda *_: None)
    writer = Writer(
        name="torn", write=lambda folder: append_line(folder / "a", b"line"), grows=("a",)
    )
    with failing(Disk(tmp_path, "short", 1)), pytest.raises(OSError, match="No space") as full:
        append_line(tmp_path / "a", b"line")
    assert full.value.errno == errno.ENOSPC
    assert (tmp_path / "a").read_bytes() == b"li"
    assert writer.grows == ("a",)
