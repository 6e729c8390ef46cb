"""`ImageStream`: the images of a submission as blocks in order, in bounded memory.

    with ImageStream("samples/") as stream:
        features = [network(images) for images in stream]
    stream.report.raise_if_invalid()

A thread runs the pass (`reading.Reader`): it takes what the decoding processes send, undoes row
filters, computes digests and findings, and puts blocks into a queue that is bounded in bytes. So
decoding, checking and the work of the consumer overlap.

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
from bench.intake.image_set import U8, Block, SetIdentity, join
from bench.intake.reading import BLOCK_BYTES, BLOCK_IMAGES, AuditReport, Reader
from bench.intake.spec import SubmissionSpec
from bench.runtime.progress import CountProgress

MAX_AHEAD_BYTES = 256 << 20


class ImageStream:
    """An iterator over the images of a folder, zip, npz, npy or idx file, sorted by name.

    It yields consecutive blocks of images, uint8 n,H,W,C, all of one height and width. A block has
    up to 512 images and about 4 MiB, or one larger image; C is 1 if all of its images are grey
    (R=G=B), else 3. Once the submission is known to be invalid, no more blocks come, but the pass
    continues to its end, so that `report` has every finding. The report never has `images`.

    At most `max_bytes` of pixels wait for the consumer, in addition to a frame that is being
    received and a block that is being joined. The other options are those of `audit`; `progress` is
    called from the thread. An exception in the thread, including one in `progress`, is raised in
    the consumer. Reading begins with the first block or on entering `with`. Leaving `with`, and
    `close`, end the thread and its processes.

    Raises `UsageError` and `NothingFoundError` as `audit` does.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/images.npy", np.zeros((3, 28, 28), np.uint8))
    ...     with ImageStream(f"{folder}/images.npy") as stream:
    ...         [images.shape for images in stream]
    [(3, 28, 28, 1)]
    """

    def __init__(
        self,
        path: str | Path,
        *,
        spec: SubmissionSpec | None = None,
        limit: int | None = None,
        resize: tuple[int, int] | None = None,
        progress: CountProgress | None = None,
        num_workers: int | None = None,
        classes: bool = False,
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
            classes=classes,
            max_ahead_bytes=max_bytes // 2,
        )
        self._queue = _Queue(max_bytes // 2)
        self._thread: threading.Thread | None = None
        self._report: AuditReport | None = None

    @property
    def num_images(self) -> int:
        """The largest number of images that can come."""
        return self._reader.num_images

    @property
    def waiting_bytes(self) -> int:
        """Bytes of pixels that wait for the consumer."""
        return self._queue.num_bytes

    @property
    def report(self) -> AuditReport:
        """What was found. Raises `LatentbenchError` before the last block is taken."""
        if self._report is None:
            raise LatentbenchError(
                "the report of a stream is available once all of its blocks were taken"
            )
        return self._report

    def identity_if_read(self, timeout_s: float = 0.0) -> SetIdentity | None:
        """Return the identity of the images if all of them have been read and are valid, else None.

        Blocks may still wait to be taken. The call waits up to `timeout_s` seconds for the end of
        reading, which comes only if the remaining blocks fit into the queue.
        """
        self.start()
        if self._queue.wait_for_end(timeout_s) and not self._reader.failed:
            return self._reader.report().identity
        return None

    def start(self) -> None:
        """Start reading ahead, if it has not started."""
        if self._thread is not None or self._queue.closed:
            return
        # The thread holds no reference to the stream, so an abandoned stream can be collected.
        self._thread = threading.Thread(
            target=_fill, args=(self._queue, self._reader), name="image-stream", daemon=True
        )
        weakref.finalize(self, _end, self._queue, self._thread)
        self._thread.start()

    def close(self) -> None:
        """End the thread and its processes. No more blocks come."""
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
    """A queue of blocks between one producer and one consumer, bounded in bytes."""

    def __init__(self, max_bytes: int) -> None:
        self.closed = False
        self.num_bytes = 0
        self._max_bytes = max_bytes
        self._blocks: deque[U8] = deque()
        self._ended = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def put(self, images: U8) -> None:
        """Add a block, once there is room or the queue is empty. Raises `_Closed`."""
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
        """Mark the end of the blocks; `error` is the reason if they end early."""
        with self._changed:
            self._ended = True
            self._error = error
            self._changed.notify_all()

    def take(self) -> U8 | None:
        """Return the next block, or None at the end. Raises the producer's error."""
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
        """Return whether the producer ends without an error within `timeout_s` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self.closed, timeout_s)
            return self._ended and self._error is None and not self.closed

    def clear(self) -> None:
        """Discard the blocks that wait."""
        with self._changed:
            self._blocks.clear()
            self.num_bytes = 0
            self._changed.notify_all()

    def close(self) -> None:
        """Accept and return no more blocks, and wake whoever waits."""
        self.closed = True
        self.clear()


def _fill(queue: _Queue, reader: Reader) -> None:
    """Run the pass in the thread."""
    try:
        with contextlib.closing(reader.blocks(lambda: queue.closed)) as blocks:
            for images in _joined(blocks):
                if not reader.failed:
                    queue.put(images)
        queue.end()
    except _Closed:
        pass
    except BaseException as error:  # noqa: BLE001 - the consumer raises it
        queue.end(error)


def _joined(blocks: Iterable[Block]) -> Iterator[U8]:
    """Yield images of consecutive blocks, joined up to the size of one block."""
    waiting: list[Block] = []
    num_images = num_bytes = 0
    for block in blocks:
        num_images += block.num_images
        num_bytes += block.images.nbytes
        if waiting and (num_images > BLOCK_IMAGES or num_bytes > BLOCK_BYTES):
            yield _writable(waiting)
            waiting = []
            num_images, num_bytes = block.num_images, block.images.nbytes
        waiting.append(block)
    if waiting:
        yield _writable(waiting)


def _writable(blocks: list[Block]) -> U8:
    """Return the images of blocks in writable memory, because torch warns about any other."""
    images = blocks[0].images
    return images if len(blocks) == 1 and images.flags.writeable else join(blocks)


def _end(queue: _Queue, thread: threading.Thread) -> None:
    queue.close()
    if thread is not threading.current_thread():  # any thread may collect an abandoned stream
        thread.join()
