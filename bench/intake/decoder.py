"""Runs the decoding processes and hands back what they read, whatever happens to them.

Each process takes a contiguous share of the files. When one dies, or sends nothing for too long,
the files of the chunk it was in are given to a new process one by one, so that the file at fault is
named (`decoder-died`) and no other file is lost. `multiprocessing` is not used: its pools hang when
a worker is killed, spawn runs the caller's `__main__` again, fork copies torch's threads.
"""

from __future__ import annotations

import fcntl
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple, TypeAlias, cast

from bench.errors import LatentbenchError
from bench.intake.worker import FRAME, Member

CHUNK = 512  # files a frame
FILES_A_WORKER = 2000
STALL_S = 120.0
MAX_DEATHS = 50
READ_BYTES = 1 << 20
WORKER = (sys.executable, "-P", "-m", "bench.intake.worker")

Progress = Callable[[int, int], None]
# What a frame's header lists: count, kind, height, width, channels, note, detail.
_Row: TypeAlias = tuple[int, str, int, int, int, str, str]


class Entry(NamedTuple):
    """One file to decode: its name within the source, and its place when that is a zip."""

    name: bytes
    member: Member | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring files with one outcome; `start` counts from the first entry.

    `kind` is "pixels" or "scanlines" (see `formats.Decoded`), or "rejected" with the finding's
    code in `note` and no data.
    """

    start: int
    count: int
    kind: str
    height: int
    width: int
    channels: int
    note: str
    detail: str
    data: memoryview


@dataclass(frozen=True)
class _Task:
    start: int
    stop: int
    chunk: int


def default_num_workers(num_files: int) -> int:
    """As many as there are processors, but one for each 2,000 files at most."""
    if hasattr(os, "sched_getaffinity"):
        num_processors = len(os.sched_getaffinity(0))
    else:
        num_processors = os.cpu_count() or 1
    return min(num_processors, 1 + num_files // FILES_A_WORKER)


def _open_above_standard(source: Path) -> int:
    """A descriptor above 2: with a standard stream closed, a plain open would give its number,
    which the worker's pipes then take.
    """
    fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(fd)


def decode(
    source: Path,
    entries: Sequence[Entry],
    *,
    num_workers: int | None = None,
    convert: bool = False,
    progress: Progress | None = None,
    command: Sequence[str] = WORKER,
    stall_s: float = STALL_S,
) -> Iterator[Run]:
    """Yield every entry of a folder or zip once, in runs, in no particular order.

    `progress` is called with (files done, files in all). Raises `LatentbenchError` when no
    decoding process can be started, `OSError` when `source` cannot be opened.
    """
    if not entries:
        return
    wanted = min(num_workers or default_num_workers(len(entries)), len(entries))
    bounds = [len(entries) * i // wanted for i in range(wanted + 1)]
    waiting = [_Task(bounds[i], bounds[i + 1], CHUNK) for i in range(wanted)]
    running: list[_Worker] = []
    deaths = done = 0
    fd = _open_above_standard(source)
    try:
        with selectors.DefaultSelector() as selector:
            while waiting or running:
                while waiting and len(running) < wanted:
                    worker = _Worker(waiting.pop(0), entries, fd, convert, command)
                    running.append(worker)
                    selector.register(worker.stdout, selectors.EVENT_READ, worker)
                received: list[Run] = []
                for key, _ in selector.select(timeout=min(1.0, stall_s)):
                    received += key.data.receive()
                for worker in [w for w in running if w.finished or w.silent_s > stall_s]:
                    selector.unregister(worker.stdout)
                    running.remove(worker)
                    worker.close()
                    if worker.position < worker.task.stop:
                        deaths += 1
                        lost, rest = _after_death(worker, gives_up=deaths >= MAX_DEATHS)
                        received += lost
                        waiting += rest
                for run in received:
                    done += run.count
                    yield run
                if progress is not None and received:
                    progress(done, len(entries))
    finally:
        for worker in running:
            worker.close()
        os.close(fd)


def _after_death(worker: _Worker, *, gives_up: bool) -> tuple[list[Run], list[_Task]]:
    """Files to report as lost, and what is left to do of a task whose process died.

    The chunk that failed goes on file by file, so that the next death names its file.
    """
    task, at = worker.task, worker.position
    if gives_up:
        return [_lost(at, task.stop - at, "not read, after too many failures")], []
    if not worker.has_started:  # killed from outside; no file is to blame
        return [], [_Task(at, task.stop, task.chunk)]
    if task.chunk > 1:
        end = min(at + task.chunk, task.stop)
        rest = [_Task(at, end, 1), _Task(end, task.stop, task.chunk)]
        return [], [part for part in rest if part.start < part.stop]
    rest = [_Task(at + 1, task.stop, 1)] if at + 1 < task.stop else []
    return [_lost(at, 1, "while this file was decoded")], rest


def _lost(start: int, count: int, why: str) -> Run:
    return Run(start, count, "rejected", 0, 0, 0, "decoder-died", why, memoryview(b""))


class _Worker:
    """One process, its unread output, and how far it has come."""

    def __init__(
        self,
        task: _Task,
        entries: Sequence[Entry],
        source_fd: int,
        convert: bool,
        command: Sequence[str],
    ) -> None:
        self.task = task
        self.position = task.start  # first entry without an outcome
        self.finished = False
        self.has_started = False
        self._heard_at = time.monotonic()
        self._buffer = bytearray()
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        share = entries[task.start : task.stop]
        request = {
            "names": [entry.name.decode("latin-1") for entry in share],
            "members": None if share[0].member is None else [entry.member for entry in share],
            "convert": convert,
            "chunk": task.chunk,
        }
        # A file, not a pipe: the caller need not wait until the process has started and reads.
        with tempfile.TemporaryFile() as stdin:
            stdin.write(json.dumps(request).encode())
            stdin.seek(0)
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [*command, str(source_fd)],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                pass_fds=(source_fd,),
                env={**os.environ, "PYTHONPATH": _import_path()},
            )
        self.stdout = cast("IO[bytes]", self._process.stdout)

    @property
    def silent_s(self) -> float:
        return time.monotonic() - self._heard_at

    def receive(self) -> list[Run]:
        """Take what the pipe holds and return the runs that are complete by now.

        Raises `LatentbenchError` when the process ended by itself before it was up.
        """
        data = os.read(self.stdout.fileno(), READ_BYTES)
        self._heard_at = time.monotonic()
        self._buffer += data
        self.finished = not data
        if self.finished and not self.has_started and self._process.wait() >= 0:
            self._stderr.seek(0)
            last_words = self._stderr.read().decode(errors="replace").strip()[-500:]
            raise LatentbenchError(f"the decoding process could not be started: {last_words}")
        runs: list[Run] = []
        while (frame := self._next_frame()) is not None:
            header, payload = frame
            self.has_started = True
            if header:
                runs.extend(self._runs_of(json.loads(header), payload))
        return runs

    def _next_frame(self) -> tuple[bytes, bytes] | None:
        if len(self._buffer) < FRAME.size:
            return None
        header_size, data_size = FRAME.unpack_from(self._buffer)
        middle = FRAME.size + header_size
        end = middle + data_size
        if len(self._buffer) < end:
            return None
        frame = bytes(self._buffer[FRAME.size : middle]), bytes(self._buffer[middle:end])
        del self._buffer[:end]
        return frame

    def _runs_of(self, rows: list[_Row], data: bytes) -> Iterator[Run]:
        view = memoryview(data)
        for count, kind, height, width, channels, note, detail in rows:
            padding = 1 if kind == "scanlines" else 0
            size = count * height * (width * channels + padding)
            start = self.position
            self.position += count
            yield Run(start, count, kind, height, width, channels, note, detail, view[:size])
            view = view[size:]

    def close(self) -> None:
        """End the process, if it has not ended, and release what it held."""
        self._process.kill()
        self._process.wait()
        self.stdout.close()
        self._stderr.close()


def _import_path() -> str:
    """The caller's import path, so that the process finds the same package and the same Pillow."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(dict.fromkeys([root, *(path for path in sys.path if path)]))
