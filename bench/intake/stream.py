"""`ImageStream`: the images of a submission as blocks in order, in bounded memory.

    with ImageStream("samples/") as stream:
        features = [network(images) for images in stream]
    stream.report.raise_if_invalid()

A thread runs the pass (`reading.Reader`): it takes what the decoding processes send, undoes row
filters, makes digests and findings, and puts blocks into a queue that is bounded in bytes. So
decoding, checking and the consumer's own work overlap; whoever is slowest sets the pace.

Shape legend: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.errors import LatentbenchError, UsageError
from bench.intake.decoder import Progress
from bench.intake.image_set import U8, Block, SetIdentity, join
from bench.intake.reading import BLOCK_BYTES, BLOCK_IMAGES, AuditReport, Reader
from bench.intake.spec import SubmissionSpec

MAX_AHEAD_BYTES = 256 << 20


class ImageStream:
    """Iterator over the images of a folder, zip, npz, npy or idx file, in sorted order of names.

    Yields uint8 n,H,W,C blocks of neighbours, without gaps, all of one height and width: up to 512
    images and about 4 MiB, or one larger image. C is 1 when all images of a block are grey (R=G=B),
    else 3. As soon as it is known that the submission is invalid no more blocks come, but the pass
    goes on to its end: `report` then has every finding. It never has `images`.

    `num_images` is how many will come at most. At most `max_bytes` of pixels are held ahead of the
    consumer, beside a frame that is being received and a block that is being put together. Options
    are those of `audit`; `progress` is called from the thread. An exception there, also one of
    `progress`, is raised in the consumer. Reading begins with the first block, or with `with`,
    which also ends thread and processes when the consumer leaves early; so does `close`.

    Raises `UsageError` and `NothingFoundError` as `audit` does.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        spec: SubmissionSpec | None = None,
        limit: int | None = None,
        resize: tuple[int, int] | None = None,
        progress: Progress | None = None,
        num_workers: int | None = None,
        max_bytes: int = MAX_AHEAD_BYTES,
    ) -> None:
        if max_bytes < 1:
            raise UsageError(f"max_bytes must be at least 1, got {max_bytes}")
        self._reader = Reader(
            path,
            spec=spec,
            limit=limit,
            resize=resize,
            progress=progress,
            num_workers=num_workers,
            max_ahead_bytes=max_bytes // 2,
        )
        self._queue = _Queue(max_bytes // 2)
        self._thread: threading.Thread | None = None
        self._report: AuditReport | None = None

    @property
    def num_images(self) -> int:
        return self._reader.num_images

    @property
    def waiting_bytes(self) -> int:
        """Pixels that are ready for the consumer."""
        return self._queue.num_bytes

    @property
    def report(self) -> AuditReport:
        """What was found. Raises `LatentbenchError` before the last block was taken."""
        if self._report is None:
            raise LatentbenchError(
                "the report of a stream is complete once all of its blocks were taken"
            )
        return self._report

    def identity_if_read(self, timeout_s: float = 0.0) -> SetIdentity | None:
        """What the images are, when all of them have been read, though blocks may still wait to be
        taken, and are valid; None before. Waits up to `timeout_s` for that, while there is room.
        """
        self.start()
        if self._queue.wait_for_end(timeout_s) and not self._reader.failed:
            return self._reader.report().identity
        return None

    def start(self) -> None:
        """Begin to read ahead, if that has not begun."""
        if self._thread is not None or self._queue.closed:
            return
        # The thread knows nothing of the stream itself, which can so be collected when forgotten.
        self._thread = threading.Thread(
            target=_fill, args=(self._queue, self._reader), name="image-stream", daemon=True
        )
        weakref.finalize(self, _end, self._queue, self._thread)
        self._thread.start()

    def close(self) -> None:
        """End the thread and its processes; no more blocks come."""
        self._queue.close()
        if self._thread is not None:
            _end(self._queue, self._thread)

    def __iter__(self) -> Iterator[U8]:
        return self

    def __next__(self) -> U8:
        self.start()
        try:
            if self._reader.failed:
                self._queue.clear()
            images = self._queue.take()
        except BaseException:
            self.close()
            raise
        if images is not None:
            return images
        if not self._queue.closed:
            self._report = self._reader.report()
            self.close()
        raise StopIteration

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Closed(Exception):
    """The consumer has left."""


class _Queue:
    """Blocks between one producer and one consumer, bounded in bytes."""

    def __init__(self, max_bytes: int) -> None:
        self.closed = False
        self.num_bytes = 0
        self._max_bytes = max_bytes
        self._blocks: deque[U8] = deque()
        self._ended = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def put(self, images: U8) -> None:
        """Wait for room, or for an empty queue; raises `_Closed`."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self.closed
                    or not self._blocks
                    or self.num_bytes + images.nbytes <= self._max_bytes
                )
            )
            if self.closed:
                raise _Closed
            self._blocks.append(images)
            self.num_bytes += images.nbytes
            self._changed.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """No more blocks come, because of `error` if there is one."""
        with self._changed:
            self._ended = True
            self._error = error
            self._changed.notify_all()

    def take(self) -> U8 | None:
        """The next block, None at the end. Raises the producer's error."""
        with self._changed:
            self._changed.wait_for(lambda: self._blocks or self._ended or self.closed)
            if self._error is not None:
                raise self._error
            if not self._blocks:
                return None
            images = self._blocks.popleft()
            self.num_bytes -= images.nbytes
            self._changed.notify_all()
            return images

    def wait_for_end(self, timeout_s: float) -> bool:
        """Whether everything has been put in without an error, within `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self.closed, timeout_s)
            return self._ended and self._error is None and not self.closed

    def clear(self) -> None:
        """Throw away what waits."""
        with self._changed:
            self._blocks.clear()
            self.num_bytes = 0
            self._changed.notify_all()

    def close(self) -> None:
        """Take no more blocks, give no more, and wake whoever waits."""
        self.closed = True
        self.clear()


def _fill(queue: _Queue, reader: Reader) -> None:
    """What the thread does."""
    try:
        with contextlib.closing(reader.blocks(lambda: queue.closed)) as blocks:
            for images in _joined(blocks):
                if not reader.failed:
                    queue.put(images)
        queue.end()
    except _Closed:
        pass
    except BaseException as error:  # noqa: BLE001 - it is raised again, where it is of use
        queue.end(error)


def _joined(blocks: Iterable[Block]) -> Iterator[U8]:
    """Images of neighbouring blocks of one size together, as many as may go into one block."""
    waiting: list[Block] = []
    num_images = num_bytes = 0
    for block in blocks:
        num_images += len(block.is_grey)
        num_bytes += block.images.nbytes
        if waiting and (num_images > BLOCK_IMAGES or num_bytes > BLOCK_BYTES):
            yield _writable(waiting)
            waiting = []
            num_images, num_bytes = len(block.is_grey), block.images.nbytes
        waiting.append(block)
    if waiting:
        yield _writable(waiting)


def _writable(blocks: list[Block]) -> U8:
    """Torch warns when it is given memory that it may not write to, such as that of a npy file."""
    images = blocks[0].images
    return images if len(blocks) == 1 and images.flags.writeable else join(blocks)


def _end(queue: _Queue, thread: threading.Thread) -> None:
    queue.close()
    if thread is not threading.current_thread():  # a forgotten stream is collected anywhere
        thread.join()
