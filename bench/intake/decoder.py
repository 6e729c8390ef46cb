"""`decode`: run the decoding processes and yield what they read, in order, even if they crash.

With n processes, each takes every n-th chunk of files. A process that gets too far ahead of the
others is not read for a while: its pipe fills up and it waits, so the amount of data held out of
order stays bounded. If a process dies or sends nothing for too long, a new process takes the files
of its chunk one by one. That names the file at fault (`decoder-died`) and loses no other file.

`multiprocessing` is not used: its pools hang if a worker is killed, spawn runs the caller's
`__main__` again, and fork copies torch's threads.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple, TypeAlias, cast

from bench.errors import LatentbenchError
from bench.intake.worker import FRAME, Member
from bench.runtime.progress import CountProgress

CHUNK = 512  # largest number of files that are decoded together
FILES_PER_WORKER = 2000
BYTES_PER_WORKER = 8 << 20  # of files: some tenths of a second of decoding
# Determines the size of chunks only: PNG photographs decode to 2 times their size, JPEG to 15.
PIXELS_PER_BYTE = 8
NUM_SAMPLED = 16  # files whose size is measured beforehand
STALL_S = 60.0
STALL_DEATHS = 10  # a process that stalls costs as much patience as ten that die
MAX_OVERTIME_S = 60.0  # processor time beyond what the files allow, see `worker.Overtime`
TICK_S = 0.1  # seconds between calls of `is_cancelled`
MAX_DEATHS = 50
READ_BYTES = 1 << 20
MAX_AHEAD_BYTES = 64 << 20
MAX_AHEAD_CHUNKS = 16  # per process, since files that are refused take no bytes
WORKER = (sys.executable, "-P", "-m", "bench.intake.worker")

_TOO_SLOW = "not read, because those before took far more time than images of their size do"

# A row of a frame's header: count, kind, height, width, channels, note, detail, resized.
_Row: TypeAlias = tuple[int, str, int, int, int, str, str, list[tuple[int, int, int]]]


class Entry(NamedTuple):
    """One file to decode: its name in the source, and its location if the source is a zip."""

    name: bytes
    member: Member | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive files with the same outcome; `start` is the position of the first one.

    `kind` is "pixels" or "scanlines" (see `formats.Decoded`), or "rejected" with the code of a
    finding in `note` and no data. `resized` lists (position in the run, height, width) of the
    images that had another size in their file.
    """

    start: int
    count: int
    kind: str
    height: int
    width: int
    channels: int
    note: str
    detail: str
    resized: Sequence[tuple[int, int, int]]
    data: memoryview


class _Job(NamedTuple):
    """The part of the request that is the same for all processes."""

    source_fd: int
    convert: bool
    size: tuple[int, int] | None  # height, width
    command: Sequence[str]


class _Chunk(NamedTuple):
    """Files whose frames hold no file of the next chunk; a single file if it is a second try."""

    start: int
    stop: int
    is_retry: bool = False


def default_num_workers(num_files: int, num_bytes: int = 0) -> int:
    """Return the number of processes: one per processor, or fewer for a small source.

    Each further process must have 2,000 files, or 8 MiB of them, to do.
    """
    if hasattr(os, "sched_getaffinity"):
        num_processors = len(os.sched_getaffinity(0))
    else:
        num_processors = os.cpu_count() or 1
    worth_starting = 1 + max(num_files // FILES_PER_WORKER, num_bytes // BYTES_PER_WORKER)
    return min(num_processors, worth_starting)


def decode(
    source: Path,
    entries: Sequence[Entry],
    *,
    num_workers: int | None = None,
    convert: bool = False,
    size: tuple[int, int] | None = None,
    progress: CountProgress | None = None,
    command: Sequence[str] = WORKER,
    stall_s: float = STALL_S,
    max_ahead_bytes: int = MAX_AHEAD_BYTES,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Run]:
    """Yield every entry of a folder or zip once, in runs, in order.

    `convert` converts files that can become 8-bit grey or RGB without loss. `size` (height, width)
    is the size to which images are resized. `progress` is called with the number of files done and
    the total. At most `max_ahead_bytes` are held in addition to the frame that is being received.
    A process that sends nothing for `stall_s` seconds counts as dead. Files that take far more
    processor time than images do (`MAX_OVERTIME_S` in total) end the decoding: the rest is
    rejected as `too-slow`. Stops soon after `is_cancelled` returns true. Raises `LatentbenchError`
    if no decoding process can be started, and `OSError` if `source` cannot be opened.
    """
    if not entries:
        return
    total = len(entries)
    lanes: list[_Lane] = []
    fd = _open_above_standard(source)
    try:
        mean_bytes = _mean_file_bytes(fd, entries)
        num_lanes = min(num_workers or default_num_workers(total, total * mean_bytes), total)
        # Images that become small by resizing take the time of large ones.
        resized_bytes = 0 if size is None else 3 * size[0] * size[1]
        image_bytes = max(PIXELS_PER_BYTE * mean_bytes, resized_bytes)
        # One chunk of every process together is half of what may be held ahead.
        most = max_ahead_bytes // (2 * num_lanes * max(1, image_bytes))
        chunk = _even_chunk(total, num_lanes, max(1, min(most, CHUNK)))
        chunks = [_Chunk(at, min(at + chunk, total)) for at in range(0, total, chunk)]
        start = functools.partial(_Process, _Job(fd, convert, size, command), entries)
        lanes += [_Lane(chunks[i::num_lanes], start) for i in range(num_lanes)]
        deaths = done = 0
        with selectors.DefaultSelector() as selector:
            while done < total and not is_cancelled():
                lowest = lanes[done // chunk % num_lanes]
                furthest = done + MAX_AHEAD_CHUNKS * num_lanes * chunk
                _listen(lanes, lowest, selector, max_ahead_bytes, furthest)
                for key, _ in selector.select(timeout=min(TICK_S, stall_s)):
                    key.data()
                for lane in lanes:
                    if lane.has_lost_its_process(selector, stall_s):
                        deaths += STALL_DEATHS if lane.has_stalled else 1
                        lane.recover(gives_up=deaths >= MAX_DEATHS)
                before = done
                while (run := lanes[done // chunk % num_lanes].next_run(done)) is not None:
                    done += run.count
                    yield run
                if sum(lane.overtime_s for lane in lanes) > MAX_OVERTIME_S and done < total:
                    yield _refused(done, total - done, "too-slow", _TOO_SLOW)
                    done = total
                if progress is not None and done > before:
                    progress(done, total)
    finally:
        for lane in lanes:
            lane.close()
        os.close(fd)


def _open_above_standard(source: Path) -> int:
    """Return a file descriptor above 2.

    If the caller has closed a standard stream, a plain open returns its number, which the worker's
    pipes then replace.
    """
    fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(fd)


def _mean_file_bytes(source_fd: int, entries: Sequence[Entry]) -> int:
    """Return the mean size of a sample of the files; one that cannot be read counts as 0."""
    sample = entries[:: -(-len(entries) // NUM_SAMPLED)]
    sizes = []
    for name, member in sample:
        if member is not None:
            sizes.append(member[2])
            continue
        with contextlib.suppress(OSError):
            sizes.append(os.stat(name, dir_fd=source_fd, follow_symlinks=False).st_size)
    return sum(sizes) // len(sample)


def _even_chunk(total: int, num_lanes: int, most: int) -> int:
    """Return the number of files per chunk, at most `most`, that gives every process the same
    number of chunks.
    """
    rounds = -(-total // (num_lanes * most))
    return -(-total // (num_lanes * rounds))


def _listen(
    lanes: Sequence[_Lane],
    lowest: _Lane,
    selector: selectors.BaseSelector,
    max_ahead_bytes: int,
    furthest: int,
) -> None:
    """Choose whose pipes are read: that of `lowest`, whose files come next, and those of lanes
    that are not too far ahead.
    """
    left = max_ahead_bytes - sum(lane.num_bytes for lane in lanes)
    for lane in sorted(lanes, key=lambda lane: lane.position):
        if lane is lowest:
            lane.listen(selector, wanted=True)
            continue
        fits = left >= READ_BYTES and lane.position < furthest
        lane.listen(selector, wanted=fits)
        left -= READ_BYTES * fits


class _Lane:
    """Every n-th chunk, the process that decodes them, and the runs that wait for their turn.

    A process that dies is replaced by another one.
    """

    def __init__(
        self, chunks: Iterable[_Chunk], start: Callable[[Sequence[_Chunk]], _Process]
    ) -> None:
        self._todo = deque(chunks)  # the first one starts at the first file without an outcome
        self._start = start
        self._process: _Process | None = None
        self._is_registered = False
        self._has_started = False
        self._past_overtime_s = 0.0  # of processes that ended
        self.has_stalled = False  # rather than died, the process that was lost last
        self._waiting: deque[Run] = deque()
        self._waiting_bytes = 0

    @property
    def position(self) -> int:
        """The first file without an outcome."""
        return self._todo[0].start if self._todo else sys.maxsize

    @property
    def num_bytes(self) -> int:
        """Bytes that were received and not yielded yet."""
        return self._waiting_bytes + (self._process.num_bytes if self._process is not None else 0)

    @property
    def overtime_s(self) -> float:
        """Processor time beyond what the files of this lane allow; negative if some is left."""
        return self._past_overtime_s + (0 if self._process is None else self._process.overtime_s)

    def listen(self, selector: selectors.BaseSelector, *, wanted: bool) -> None:
        """Read the process's pipe, or let it fill up; start a process if there is none."""
        if self._process is None and self._todo:
            self._process = self._start(self._todo)
        process = self._process
        if process is None or wanted == self._is_registered:
            return
        if wanted:
            receive = functools.partial(self.receive, process)
            selector.register(process.stdout, selectors.EVENT_READ, receive)
            process.last_sent_at = time.monotonic()  # an unread process is not stalled
        else:
            selector.unregister(process.stdout)
        self._is_registered = wanted

    def receive(self, process: _Process) -> None:
        """Read what is in the pipe. Raises `LatentbenchError` if no process can be started."""
        frame = process.receive()
        if frame is None:
            return
        rows, view = frame
        for count, kind, height, width, channels, note, detail, resized in rows:
            padding = 1 if kind == "scanlines" else 0
            num_bytes = count * height * (width * channels + padding)
            chunk = self._todo.popleft()
            if chunk.start + count < chunk.stop:
                self._todo.appendleft(chunk._replace(start=chunk.start + count))
            outcome = (kind, height, width, channels, note, detail, resized)
            self._waiting.append(Run(chunk.start, count, *outcome, view[:num_bytes]))
            self._waiting_bytes += num_bytes
            view = view[num_bytes:]

    def next_run(self, at: int) -> Run | None:
        """Return the run that begins with file `at`, if it has been received."""
        if not self._waiting or self._waiting[0].start != at:
            return None
        run = self._waiting.popleft()
        self._waiting_bytes -= len(run.data)
        return run

    def has_lost_its_process(self, selector: selectors.BaseSelector, stall_s: float) -> bool:
        """Return whether the process ended, or was ended because it stalled, with files to do."""
        process = self._process
        if process is None or not self._is_registered:
            return False
        if not process.finished and time.monotonic() - process.last_sent_at <= stall_s:
            return False
        self.has_stalled = not process.finished
        self.listen(selector, wanted=False)
        self._has_started = process.has_started
        self.close()
        return bool(self._todo)

    def recover(self, *, gives_up: bool) -> None:
        """Report the files lost with a process, and prepare the others for a new process.

        The chunk that failed is decoded file by file, so that the next death names its file.
        """
        if gives_up:
            for start, stop, _ in self._todo:
                why = "not read after too many failures"
                self._waiting.append(_refused(start, stop - start, "decoder-died", why))
            self._todo.clear()
        elif self._has_started:  # else it was killed from outside, and no file is at fault
            start, stop, is_retry = self._todo.popleft()
            if is_retry:
                why = "while this file was decoded"
                self._waiting.append(_refused(start, 1, "decoder-died", why))
            else:
                singles = [_Chunk(at, at + 1, is_retry=True) for at in range(start, stop)]
                self._todo.extendleft(reversed(singles))

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._past_overtime_s += self._process.overtime_s
            self._process.close()
            self._process = None


def _refused(start: int, count: int, code: str, why: str) -> Run:
    return Run(start, count, "rejected", 0, 0, 0, code, why, (), memoryview(b""))


class _Process:
    """One decoding process, and the frame that it is sending."""

    def __init__(self, job: _Job, entries: Sequence[Entry], chunks: Sequence[_Chunk]) -> None:
        self.finished = False
        self.has_started = False
        self.last_sent_at = time.monotonic()
        self.overtime_s = 0.0
        self.num_bytes = 0  # received of the current part of a frame
        self._part = bytearray(FRAME.size)  # the frame's sizes, then its header and data
        self._header_size = 0  # 0 until the sizes have come
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        share = [entry for chunk in chunks for entry in entries[chunk.start : chunk.stop]]
        request = {
            "names": [entry.name.decode("latin-1") for entry in share],
            "members": None if share[0].member is None else [entry.member for entry in share],
            "convert": job.convert,
            "size": job.size,
            "chunks": [chunk.stop - chunk.start for chunk in chunks],
        }
        # A file and not a pipe, so the caller does not wait until the process reads.
        with tempfile.TemporaryFile() as stdin:
            stdin.write(json.dumps(request).encode())
            stdin.seek(0)
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [*job.command, str(job.source_fd)],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                pass_fds=(job.source_fd,),
                env={**os.environ, "PYTHONPATH": _import_path()},
            )
        self.stdout = cast("IO[bytes]", self._process.stdout)
        if hasattr(fcntl, "F_SETPIPE_SZ"):  # room to continue while the caller is busy
            with contextlib.suppress(OSError):  # the user's limit of pipe memory is reached
                fcntl.fcntl(self.stdout, fcntl.F_SETPIPE_SZ, READ_BYTES)

    def receive(self) -> tuple[list[_Row], memoryview] | None:
        """Read the pipe once; return rows and data of a frame if that completes it.

        Raises `LatentbenchError` if the process ended by itself while it started.
        """
        room = memoryview(self._part)[self.num_bytes :][:READ_BYTES]
        num_read = os.readv(self.stdout.fileno(), [room])
        self.last_sent_at = time.monotonic()
        self.num_bytes += num_read
        self.finished = num_read == 0
        if self.finished and not self.has_started and self._process.wait() >= 0:
            self._stderr.seek(0)
            last_words = self._stderr.read().decode(errors="replace").strip()[-500:]
            raise LatentbenchError(f"the decoding process could not be started: {last_words}")
        if self.num_bytes < len(self._part):
            return None
        part, header_size = memoryview(self._part), self._header_size
        self.num_bytes = 0
        if header_size:
            self._part, self._header_size = bytearray(FRAME.size), 0
            return json.loads(bytes(part[:header_size])), part[header_size:]
        self.has_started = True
        self._header_size, data_size, overtime_ms = FRAME.unpack(part)
        self.overtime_s = overtime_ms / 1000
        self._part = bytearray(self._header_size + data_size or FRAME.size)
        return None

    def close(self) -> None:
        """End the process, if it has not ended, and close its files."""
        self._process.kill()
        self._process.wait()
        self.stdout.close()
        self._stderr.close()


def _import_path() -> str:
    """Return the caller's import path, which gives the process the same package and Pillow."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(dict.fromkeys([root, *(path for path in sys.path if path)]))
