"""`Extraction`: the features of one stream of images by one or several extractors.

Images come in blocks. On a GPU they are passed on in whole batches, and the features of a batch are
fetched when the next batch is queued, so that the device computes while the host decodes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, LatentbenchError
from bench.extractors.base import Extractor, QueueingExtractor
from bench.intake import ImageStream, SetIdentity
from bench.references.feature_collector import FeatureCollector
from bench.references.image_deal import ImageDeal
from bench.runtime.progress import CountProgress
from bench.statistics.moments import Features, FeatureSample

READ_AHEAD_S = 0.3
MAX_WAITING_BYTES = 256 << 20  # of pixels joined for one call of the network


class _Line:
    """An extractor with the collector of its features.

    On a GPU the extractor is one batch ahead of the collector. On a CPU it is not: there a call
    computes at once, and a batch ahead would only use memory.
    """

    def __init__(self, extractor: Extractor, collector: FeatureCollector) -> None:
        self.extractor, self.collector = extractor, collector
        self._queued: Callable[[], Features] | None = None

    def take(self, images: NDArray[np.uint8], progress: CountProgress) -> None:
        """Extract the next images, uint8 n,H,W,C. Errors of the images before come first."""
        if not isinstance(self.extractor, QueueingExtractor) or _on_cpu(self.extractor):
            self.collector.add(self.extractor(images, progress=progress))
            return
        try:
            begun = self.extractor.begin(images, progress=progress)
        finally:
            self.finish()
        self._queued = begun

    def finish(self) -> None:
        """Wait for the queued batch."""
        queued, self._queued = self._queued, None
        if queued is not None:
            self.collector.add(queued())


def _on_cpu(extractor: Extractor) -> bool:
    return extractor.device.startswith("cpu")


class Extraction:
    """Features of one stream of `num_images` images.

    `load` returns the extractors; it is called when the first images arrive. `abandoned` says
    whether `consume` stopped extracting because the images were known.
    """

    def __init__(
        self,
        load: Callable[[], Sequence[Extractor]],
        num_images: int,
        *,
        subset: int,
        seed: int,
    ) -> None:
        self.abandoned = False
        self._load = load
        self._num_images = num_images
        self._subset, self._seed = subset, seed
        self._done = 0  # images passed to the extractors
        self._reported = 0  # progress never decreases, though features lag behind their batch
        self._waiting: list[NDArray[np.uint8]] = []  # blocks that do not fill a batch yet
        self._deal = ImageDeal(seed)

    @functools.cached_property
    def _lines(self) -> list[_Line]:
        return [
            _Line(
                extractor,
                FeatureCollector(
                    extractor.name,
                    self._num_images,
                    subset=self._subset,
                    seed=self._seed,
                    deal=self._deal,
                ),
            )
            for extractor in self._load()
        ]

    def add(self, images: NDArray[np.uint8], progress: CountProgress | None = None) -> None:
        """Extract the next images, uint8 n,H,W,C. Raises what the extractors raise."""
        self._waiting.append(images)
        self._deal.add(images)
        batch_size = max(line.extractor.batch_size for line in self._lines)
        num_images = sum(map(len, self._waiting))
        num_bytes = sum(block.nbytes for block in self._waiting)
        if num_images >= batch_size or num_bytes >= MAX_WAITING_BYTES:
            on_cpu = all(_on_cpu(line.extractor) for line in self._lines)
            rest = 0 if on_cpu or num_images < batch_size else num_images % batch_size
            self._run(num_images - rest, progress)

    def _run(self, num: int, progress: CountProgress | None) -> None:
        """Pass the first `num` waiting images to the extractors."""
        channels = max(block.shape[3] for block in self._waiting)
        images = self._waiting[0]
        if len(self._waiting) > 1:
            images = np.concatenate(
                [np.broadcast_to(b, (*b.shape[:3], channels)) for b in self._waiting]
            )
        # a copy: a view would keep the whole block alive
        self._waiting = [images[num:].copy()] if num < len(images) else []
        images = images[:num]
        for position, line in enumerate(self._lines):

            def report(
                done: int, _total: int, start: int = self._done, before: int = position * num
            ) -> None:
                self._report(start + (before + done) // len(self._lines), progress)

            line.take(images, report)
        self._done += num

    def _report(self, done: int, progress: CountProgress | None) -> None:
        self._reported = max(self._reported, done)
        if progress is not None:
            progress(self._reported, self._num_images)

    def _finish(self, progress: CountProgress | None) -> None:
        """Extract the waiting images, and wait for the queued batches."""
        if self._waiting:
            self._run(sum(map(len, self._waiting)), progress)
        for line in self._lines:
            line.finish()

    def consume(
        self,
        stream: ImageStream,
        progress: CountProgress | None = None,
        *,
        is_known: Callable[[SetIdentity], bool] = lambda _: False,
        observe: Callable[[NDArray[np.uint8]], None] | None = None,
    ) -> SetIdentity:
        """Extract a whole stream and return what its images are. The stream is audited to its end,
        even when an extractor fails.

        `is_known` is called once, when all images have been read. If it returns True, the rest is
        not extracted, and `abandoned` is set. `observe` is called with every block. Raises
        `InvalidSubmission` with every finding, in preference to an error of an extractor; an
        `InputError` names the source.
        """
        failure: LatentbenchError | None = None
        identity = stream.identity_if_read(READ_AHEAD_S)  # long enough for a small set
        self.abandoned = identity is not None and is_known(identity)
        for block in stream:
            if identity is None:
                identity = stream.identity_if_read()
                self.abandoned = identity is not None and is_known(identity)
            if failure is not None:
                continue
            try:
                if observe is not None:
                    observe(block)
                if not self.abandoned:
                    self.add(block, progress)
            except LatentbenchError as error:
                failure = error
        stream.report.raise_if_invalid()
        if not self.abandoned:
            with _naming(stream.report.source):
                if failure is not None:
                    raise failure
                self._finish(progress)
        assert stream.report.identity is not None  # noqa: S101  (a valid report has one)
        return stream.report.identity

    def samples(self) -> list[FeatureSample]:
        """Return a sample for each extractor. Raises `InputError` when images are missing."""
        self._finish(None)
        return [line.collector.sample() for line in self._lines]


@contextmanager
def _naming(source: str) -> Iterator[None]:
    """Name the source in errors of an extractor, which does not know it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
