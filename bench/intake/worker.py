"""The decoding process: reads untrusted files and sends checked scanlines or pixels.

`decoder.py` starts it as `python -m bench.intake.worker FD`, where FD is an open folder or zip. It
imports neither torch nor numpy, limits its own memory and file writes, and follows no symbolic
link. The caller opens a zip and reads its directory only; entries are read and inflated here, by
their location in the file.

Standard input is one JSON request: the names, and the number of them in each chunk. Standard output
is an empty frame once the process has started, then one or more frames per chunk, in order. A frame
is three big-endian numbers of 32 bits (the sizes of header and data; the processor time that this
process has spent beyond what its files allow, in ms), a JSON header and the data. The header
lists runs of consecutive files with the same outcome:
[count, kind, height, width, channels, note, "", resized] with `count` images in the data, or
[count, "rejected", 0, 0, 0, code, detail, []]. `resized` lists the images of the run that had
another size in their file: [position in the run, height, width].
"""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import json
import os
import resource
import signal
import stat
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from types import FrameType
from typing import BinaryIO

from bench.intake.formats import MAX_FILE_BYTES, Decoded, Rejected
from bench.intake.pixels import decode_image

MAX_MEMORY_BYTES = 4 << 30
MAX_WRITTEN_BYTES = 1 << 20  # only the error text of a crash is written to a file
MAX_FRAME_BYTES = 4 << 20
MAX_FRAME_S = 2.0  # so a long silence means that one file is at fault
# Limits of processor time, which other work on the machine does not lengthen.
MAX_FILE_S = 10.0
ALLOWED_S_PER_FILE = 0.02  # a small PNG takes 0.0001
ALLOWED_S_PER_MIB = 1.0  # of files; a PNG or JPEG photograph takes 0.05 to 0.2
ALLOWED_S_PER_MEGAPIXEL = 0.04  # PNG takes 0.015
OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
FRAME = struct.Struct(">IIi")
LOCAL_HEADER = struct.Struct("<4s22xHH")
LOCAL_MAGIC = b"PK\x03\x04"
LIKELY_EXTRA = 256  # bytes of the extra field and of a top folder's name
DEFLATED = 8

Decode = Callable[..., Decoded]  # of data, name, convert and, if one is requested, the size
# offset, compressed size, size, method, CRC, first byte of the next entry
Member = tuple[int, int, int, int, int, int]
# kind, height, width, channels, note or code, detail
Outcome = tuple[str, int, int, int, str, str]
Resized = tuple[int, int, int]  # position in the run, height and width in the file


class _TooSlow(BaseException):
    """A file has taken `MAX_FILE_S`. No `except Exception` of a decoder may catch it."""


class FileClock:
    """A context that raises `Rejected` when its body takes `max_s` seconds of processor time."""

    def __init__(self, max_s: float) -> None:
        self._max_s = max_s
        self._running = False
        signal.signal(signal.SIGPROF, self._ring)

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        if self._running:
            raise _TooSlow

    def __enter__(self) -> None:
        self._running = True
        signal.setitimer(signal.ITIMER_PROF, self._max_s)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._running = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        if kind is _TooSlow:
            raise Rejected("too-slow", f"more than {self._max_s:g} s of processor time")


class Overtime:
    """The processor time of this process beyond what the files that it has read allow."""

    def __init__(self) -> None:
        self._allowed_s = 0.0
        self._started_s = time.process_time()

    def read(self, num_bytes: int) -> None:
        """Count a file of so many bytes."""
        self._allowed_s += ALLOWED_S_PER_FILE + ALLOWED_S_PER_MIB * num_bytes / (1 << 20)

    def decoded(self, result: Decoded) -> None:
        """Count the pixels of an image."""
        height, width = result.resized_from or (result.height, result.width)
        self._allowed_s += ALLOWED_S_PER_MEGAPIXEL * height * width / 1e6

    @property
    def milliseconds(self) -> int:
        """The time spent beyond the allowed time; negative if there is time left."""
        spent_s = time.process_time() - self._started_s - self._allowed_s
        return max(-(1 << 31), min(int(spent_s * 1000), (1 << 31) - 1))


def read_file(name: bytes, folder: int, opener: Callable[..., int] = os.open) -> bytes:
    """Return the bytes of a regular file in the open folder. Raises `Rejected`.

    It does not block on a FIFO.
    """
    try:
        fd = opener(name, OPEN_FLAGS, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Rejected("symlink") from error
        raise Rejected("unreadable", os.strerror(error.errno or 0)) from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise Rejected("not-regular")
        if status.st_size > MAX_FILE_BYTES:
            raise Rejected("file-too-large", f"{status.st_size:,} bytes")
        data = os.read(fd, status.st_size + 1)
    except OSError as error:
        raise Rejected("unreadable", os.strerror(error.errno or 0)) from error
    finally:
        os.close(fd)
    if len(data) != status.st_size:
        raise Rejected("unreadable", "changed while it was read")
    return data


def read_member(name: bytes, archive: int, member: Member) -> bytes:
    """Return the bytes of a zip entry, inflated to at most its stated size. Raises `Rejected`."""
    offset, packed_size, size, method, crc, limit = member
    # One read covers header, name and data unless the extra field is unusually long.
    data = os.pread(archive, LOCAL_HEADER.size + len(name) + LIKELY_EXTRA + packed_size, offset)
    if len(data) < LOCAL_HEADER.size:
        raise Rejected("zip-damaged", "an entry lies outside the archive")
    magic, name_size, extra_size = LOCAL_HEADER.unpack_from(data)
    begin = LOCAL_HEADER.size + name_size + extra_size
    if magic != LOCAL_MAGIC or not data[LOCAL_HEADER.size :][:name_size].endswith(name):
        raise Rejected("zip-damaged", "an entry is not where the directory says")
    if offset + begin + packed_size > limit:
        raise Rejected("zip-overlap", "entries share bytes")
    data = data[begin : begin + packed_size]
    if len(data) < packed_size:
        data = os.pread(archive, packed_size, offset + begin)
    if method == DEFLATED:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = inflater.decompress(data, size + 1)
        except zlib.error as error:
            raise Rejected("zip-damaged", "an entry cannot be inflated") from error
        if not inflater.eof and len(data) <= size:
            raise Rejected("zip-damaged", "an entry has no end")
    if len(data) != size or zlib.crc32(data) != crc:
        raise Rejected("zip-damaged", "size or checksum of an entry is wrong")
    return data


def outcomes(
    source: int,
    names: list[bytes],
    members: list[Member] | None,
    convert: bool,
    decode: Decode = decode_image,
    *,
    clock: AbstractContextManager[None] | None = None,
    overtime: Overtime | None = None,
) -> Iterator[Decoded | Rejected]:
    """Yield one outcome for each name, in order; no file raises."""
    clock = clock or contextlib.nullcontext()
    overtime = overtime or Overtime()
    for i, name in enumerate(names):
        try:
            with clock:
                if members is None:
                    data = read_file(name, source)
                    overtime.read(len(data))
                else:
                    data = read_member(name, source, members[i])
                    overtime.read(members[i][1])
                result = decode(data, name, convert)
        except Rejected as rejected:
            yield rejected
        except OSError as error:  # a disk that fails while a zip is read
            yield Rejected("unreadable", os.strerror(error.errno or 0))
        except MemoryError:
            yield Rejected("image-bomb", "needs more memory than decoding may use")
        except Exception as error:  # noqa: BLE001 - whatever a decoder did not expect
            yield Rejected("image-damaged", f"cannot be decoded ({type(error).__name__})")
        else:
            overtime.decoded(result)
            yield result


def frames(
    results: Iterator[Decoded | Rejected],
    chunk_sizes: Iterable[int],
    overtime: Overtime | None = None,
) -> Iterator[bytes]:
    """Yield frames of at most about 4 MiB or 2 s, each with files of one chunk only."""
    overtime = overtime or Overtime()
    for chunk_size in chunk_sizes:
        frame = _Frame()
        for result in itertools.islice(results, chunk_size):
            frame.add(result)
            if frame.num_bytes >= MAX_FRAME_BYTES or time.monotonic() > frame.due_at:
                yield frame.packed(overtime.milliseconds)
                frame = _Frame()
        if frame.runs:
            yield frame.packed(overtime.milliseconds)


class _Frame:
    """Outcomes of consecutive files; equal ones are counted together."""

    def __init__(self) -> None:
        self.runs: list[tuple[int, Outcome, list[Resized]]] = []
        self.num_bytes = 0
        self.due_at = time.monotonic() + MAX_FRAME_S
        self._payload: list[bytes] = []

    def add(self, result: Decoded | Rejected) -> None:
        if isinstance(result, Rejected):
            outcome: Outcome = ("rejected", 0, 0, 0, result.code, result.detail)
            resized_from = None
        else:
            outcome = (*result[:5], "")
            resized_from = result.resized_from
            self._payload.append(result.data)
            self.num_bytes += len(result.data)
        count, last, resized = self.runs[-1] if self.runs else (0, None, [])
        if last == outcome:
            self.runs[-1] = (count + 1, outcome, resized)
        else:
            count, resized = 0, []
            self.runs.append((1, outcome, resized))
        if resized_from is not None:
            resized.append((count, *resized_from))

    def packed(self, overtime_ms: int) -> bytes:
        rows = [(count, *outcome, resized) for count, outcome, resized in self.runs]
        header = json.dumps(rows).encode()
        data = b"".join(self._payload)
        return FRAME.pack(len(header), len(data), overtime_ms) + header + data


def limit_this_process() -> None:
    """Limit memory and file writes and disable core dumps, as far as the system can."""
    for kind, limit in (
        (resource.RLIMIT_AS, MAX_MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, MAX_WRITTEN_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):
            hard = resource.getrlimit(kind)[1]
            if hard != resource.RLIM_INFINITY:
                limit = min(limit, hard)  # noqa: PLW2901
            resource.setrlimit(kind, (limit, limit))


def serve(stdin: BinaryIO, stdout: BinaryIO, source: int, decode: Decode = decode_image) -> None:
    """Answer the one request on `stdin`."""
    stdout.write(FRAME.pack(0, 0, 0))
    stdout.flush()
    request = json.load(stdin)
    names = [name.encode("latin-1") for name in request["names"]]
    if request["size"] is not None:
        decode = functools.partial(decode, size=tuple(request["size"]))
    overtime = Overtime()
    results = outcomes(
        source,
        names,
        request["members"],
        request["convert"],
        decode,
        clock=FileClock(MAX_FILE_S),
        overtime=overtime,
    )
    for frame in frames(results, request["chunks"], overtime):
        stdout.write(frame)
        stdout.flush()


def main(decode: Decode = decode_image) -> None:
    """Run the process. Tests replace `decode` to make it crash."""
    limit_this_process()
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):  # the caller has ended
        serve(sys.stdin.buffer, sys.stdout.buffer, int(sys.argv[1]), decode)
    # Exit at once, without flushing a broken pipe or shutting down the interpreter.
    os._exit(0)


if __name__ == "__main__":
    main()
