"""From images to what metrics read: features of any number of images, in bounded memory.

Images come as a stream of blocks. `FeatureCollector` takes the features of block after block and
keeps all of them up to `subset` images; of more it keeps those of a fixed random subset, the
moments of all (merged in blocks of fixed bounds, so that the bits do not depend on how the images
came) and the class statistics of all. Samples are kept in the cache by the digest of all that they
depend on.

On a GPU, images are handed over in whole batches, and the features of a hand-over are fetched when
the next one is on its way, so that the device computes while the host decodes.

Shape legend: N images, S splits, D features, K classes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, LatentbenchError
from bench.extractors.base import Extractor, QueueingExtractor, ResolvedExtractor
from bench.intake import ImageStream, SetIdentity
from bench.metrics.base import SPLITS
from bench.runtime.cache import Cache, cache_key
from bench.runtime.code_digest import code_digest
from bench.runtime.progress import CountProgress
from bench.runtime.provenance import library_versions
from bench.runtime.whole_files import arrays_from_bytes, arrays_to_bytes
from bench.statistics.moments import (
    BLOCK,
    SUBSET_SEED,
    ClassStatistics,
    Features,
    FeatureSample,
    Moments,
    class_probabilities,
    score_splits,
    subset_rows,
)

KIND = "features"
READ_AHEAD_S = 0.3
MAX_WAITING_BYTES = 256 << 20  # of pixels put together for one call of the network


class FeatureCollector:
    """Gathers the features of `num_images` images of one extractor, block by block.

    `name` is the extractor's, for messages; `seed` deals the images to the Inception Score's
    splits.
    """

    def __init__(self, name: str, num_images: int, *, subset: int, seed: int) -> None:
        self._name = name
        self._num_images = num_images
        self._rows = subset_rows(num_images, subset)
        self._keeps_all = len(self._rows) == num_images
        self._seed = seed
        self._done = 0
        self._kept: list[Features] = []
        self._waiting: list[Features] = []  # of an unfinished block
        self._moments: Moments | None = None
        self._classes: ClassStatistics | None = None

    def add(self, features: Features) -> None:
        """Take the features of the next images. Raises `InputError` when they are not finite, have
        other dimensions than those before, or are too many.
        """
        self._check(features)
        start, stop = self._done, self._done + len(features.values)
        self._done = stop
        if self._keeps_all:
            self._kept.append(features)
            return
        first, last = np.searchsorted(self._rows, (start, stop))
        self._kept.append(_rows_of(features, self._rows[first:last] - start))
        self._waiting.append(features)
        if sum(len(part.values) for part in self._waiting) >= BLOCK:
            self._let_go()

    def _check(self, features: Features) -> None:
        values = features.values
        for array, what in ((values, "features"), (features.logits, "logits")):
            if array is not None and not np.isfinite(array).all():
                bad = int((~np.isfinite(array)).any(axis=1).sum())
                raise InputError(
                    f"extractor {self._name!r} gave {what} that are NaN or infinite for {bad:,} of "
                    f"{len(array):,} images; its weights or its precision do not suit these images"
                )
        if self._kept and _widths(self._kept[0]) != _widths(features):
            raise InputError(
                f"extractor {self._name!r} gave {_said(features)} after {_said(self._kept[0])}; "
                "every image must have as many"
            )
        if self._done + len(values) > self._num_images:
            raise InputError(
                f"extractor {self._name!r}: features of {self._done + len(values):,} images or "
                f"more, expected {self._num_images:,}"
            )

    def _let_go(self, *, last: bool = False) -> None:
        """Reduce what waits to moments and class statistics, in blocks of `BLOCK` images counted
        from the first one, so that the bits do not depend on how the images came.
        """
        waiting = joined(self._waiting)
        num_waiting = len(waiting.values)
        end = num_waiting if last else num_waiting // BLOCK * BLOCK
        for start in range(0, end, BLOCK):
            block = _rows_of(waiting, slice(start, min(start + BLOCK, end)))
            found = [Moments.of(block.values)]
            self._moments = Moments.merged(
                found if self._moments is None else [self._moments, *found]
            )
            position = self._done - num_waiting + start
            self._classes = self._with_classes(self._classes, block, position)
        self._waiting = [_rows_of(waiting, slice(end, None))] if end < num_waiting else []

    def _with_classes(
        self, classes: ClassStatistics | None, block: Features, position: int
    ) -> ClassStatistics | None:
        if block.logits is None:
            return None
        splits = self._splits[position : position + len(block.values)]
        found = ClassStatistics.of(class_probabilities(block.logits), splits, SPLITS)
        return found if classes is None else classes.plus(found)

    @functools.cached_property
    def _splits(self) -> NDArray[np.int64]:
        return score_splits(self._num_images, SPLITS, self._seed)

    def sample(self) -> FeatureSample:
        """What was gathered. Raises `InputError` when images are missing."""
        if self._done != self._num_images or not self._done:
            raise InputError(
                f"extractor {self._name!r}: features of {self._done:,} images, expected "
                f"{self._num_images:,}"
            )
        if self._waiting:
            self._let_go(last=True)
        return FeatureSample(joined(self._kept), self._rows, self._classes, self._moments)


def _widths(features: Features) -> tuple[int, int]:
    """Dimensions of features and of logits, 0 when there are none."""
    return features.values.shape[1], 0 if features.logits is None else features.logits.shape[1]


def _said(features: Features) -> str:
    return "{} features and {} logits".format(*_widths(features))


def _rows_of(features: Features, rows: NDArray[np.int64] | slice) -> Features:
    logits = None if features.logits is None else features.logits[rows]
    return Features(features.values[rows], logits)


def joined(parts: Sequence[Features]) -> Features:
    """The rows of all parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    logits = [part.logits for part in parts if part.logits is not None]
    return Features(
        np.concatenate([part.values for part in parts]),
        np.concatenate(logits) if logits else None,
    )


class _Line:
    """An extractor with the collector of its features.

    One that queues on a device is a hand-over ahead of its collector. On a CPU nothing is: there
    a call computes, and waiting would only hold memory.
    """

    def __init__(self, extractor: Extractor, collector: FeatureCollector) -> None:
        self.extractor, self.collector = extractor, collector
        self._under_way: Callable[[], Features] | None = None

    def take(self, images: NDArray[np.uint8], progress: CountProgress) -> None:
        """Extract the next images, uint8 n,H,W,C. Raises first what those before them raise."""
        if not isinstance(self.extractor, QueueingExtractor) or _on_cpu(self.extractor):
            self.collector.add(self.extractor(images, progress=progress))
            return
        try:
            begun = self.extractor.begin(images, progress=progress)
        finally:
            self.finish()
        self._under_way = begun

    def finish(self) -> None:
        """Wait for what is under way."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            self.collector.add(under_way())


def _on_cpu(extractor: Extractor) -> bool:
    return extractor.device.startswith("cpu")


class Extraction:
    """Features of one stream of images by one or several extractors, from one decoding.

    `load` gives the extractors; it is called when the first images are there.
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
        self._done = 0  # images handed over
        self._told = 0  # progress never goes back, though features come later than they are begun
        self._waiting: list[NDArray[np.uint8]] = []  # blocks that do not fill a batch yet

    @functools.cached_property
    def _lines(self) -> list[_Line]:
        return [
            _Line(
                extractor,
                FeatureCollector(
                    extractor.name, self._num_images, subset=self._subset, seed=self._seed
                ),
            )
            for extractor in self._load()
        ]

    def add(self, images: NDArray[np.uint8], progress: CountProgress | None = None) -> None:
        """Take the next images, uint8 n,H,W,C. Raises what the extractors raise."""
        self._waiting.append(images)
        batch_size = max(line.extractor.batch_size for line in self._lines)
        num_images = sum(map(len, self._waiting))
        num_bytes = sum(block.nbytes for block in self._waiting)
        if num_images >= batch_size or num_bytes >= MAX_WAITING_BYTES:
            on_cpu = all(_on_cpu(line.extractor) for line in self._lines)
            rest = 0 if on_cpu or num_images < batch_size else num_images % batch_size
            self._run(num_images - rest, progress)

    def _run(self, num: int, progress: CountProgress | None) -> None:
        """Hand over the first `num` of the images that wait."""
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
                self._tell(start + (before + done) // len(self._lines), progress)

            line.take(images, report)
        self._done += num

    def _tell(self, done: int, progress: CountProgress | None) -> None:
        self._told = max(self._told, done)
        if progress is not None:
            progress(self._told, self._num_images)

    def _finish(self, progress: CountProgress | None) -> None:
        """Extract what waits, and wait for what is under way."""
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
        """Take a whole stream, which is audited to its end whatever the extractors do.

        `is_known` is asked once, when all images have been read: if it says so, the rest is not
        extracted, and `abandoned` is set. `observe` is given every block, also then. Raises
        `InvalidSubmission` with every finding before anything that an extractor raised; an
        `InputError` names the source.
        """
        failure: LatentbenchError | None = None
        identity = stream.identity_if_read(READ_AHEAD_S)  # a small set is read in less
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
        """A sample for each extractor. Raises `InputError` when images are missing."""
        self._finish(None)
        return [line.collector.sample() for line in self._lines]


@contextmanager
def _naming(source: str) -> Iterator[None]:
    """An extractor does not know whose images it was given."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def cached_sample(cache: Cache, key: str) -> FeatureSample | None:
    """The sample kept under `key`, if there is one."""
    kept = cache.get(KIND, key)
    if kept is None:
        return None
    arrays = arrays_from_bytes(kept, f"cache entry {key}")
    logits = arrays.get("logits")
    features = Features(
        np.asarray(arrays["values"], np.float32),
        None if logits is None else np.asarray(logits, np.float32),
    )
    moments = classes = None
    if "mean" in arrays:
        moments = Moments(
            int(arrays["n"]),
            np.asarray(arrays["mean"], np.float64),
            np.asarray(arrays["m2"], np.float64),
        )
    if "split_counts" in arrays:
        classes = ClassStatistics(
            np.asarray(arrays["split_counts"], np.int64),
            np.asarray(arrays["probability_sums"], np.float64),
            np.asarray(arrays["entropy_sums"], np.float64),
            np.asarray(arrays["predicted_counts"], np.int64),
            float(arrays["confidence"]),
        )
    return FeatureSample(features, np.asarray(arrays["rows"], np.int64), classes, moments)


def keep_sample(cache: Cache, key: str, sample: FeatureSample) -> None:
    """Put a sample into the cache."""
    arrays: dict[str, NDArray[np.generic]] = {
        "values": sample.features.values,
        "rows": sample.rows,
    }
    if sample.features.logits is not None:
        arrays["logits"] = sample.features.logits
    if sample.streamed is not None:
        arrays |= {
            "n": np.asarray(sample.streamed.n),
            "mean": sample.streamed.mean,
            "m2": sample.streamed.m2,
        }
    if sample.classes is not None:
        arrays |= {name: np.asarray(value) for name, value in vars(sample.classes).items()}
    cache.put(KIND, key, arrays_to_bytes(arrays))


def sample_key(
    extractor: ResolvedExtractor,
    *,
    sequence_digest: str,
    num_images: int,
    device: str,
    subset: int,
    seed: int,
) -> str:
    """The cache key of a sample. Features of another device kind are others: their last digits
    differ. Subset and seed count only when not every image is kept.
    """
    return cache_key(
        {
            "images": sequence_digest,
            "extractor": extractor.digest,
            "name": extractor.name,
            "settings": dict(extractor.settings),
            "compiled": extractor.compiled,
            "code": code_digest(__name__, extractor.row.loader.partition(":")[0]),
            "libraries": library_versions(),
            "device": device.split(":", maxsplit=1)[0],
            "reduced": [subset, SUBSET_SEED, seed] if num_images > subset else [],
        }
    )
