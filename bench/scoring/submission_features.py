"""Features of one submission for all targets: from one decoding, or from the cache."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from bench.content import ContentObserver
from bench.errors import InputError
from bench.intake import ImageSet, ImageStream, SetIdentity
from bench.records.score_record import COMPILING_STAGE, ScoreRecord
from bench.references.feature_extraction import Extraction
from bench.runtime.progress import CountProgress, Progress, Stopwatch
from bench.scoring.content_cache import ContentCache
from bench.scoring.result_cache import Reading, ResultCache
from bench.scoring.target import Target
from bench.statistics.moments import FeatureSample

ARRAY_BLOCK = 512  # images of an array that are passed on together


class SubmissionFeatures:
    """Extracts the features of submissions and stores them in the caches."""

    def __init__(
        self,
        targets: Sequence[Target],
        results: ResultCache,
        contents: ContentCache,
        *,
        subset: int,
        seed: int,
    ) -> None:
        self._targets, self._results, self._contents = targets, results, contents
        self._subset, self._seed = subset, seed
        self._has_run = False
        self._reported_compile_s = 0.0

    def of_file(
        self, reading: Reading, watch: Stopwatch, progress: Progress | None
    ) -> tuple[ImageStream, Sequence[ScoreRecord | FeatureSample]]:
        """Read a submission and return its stream, read to the end, with the features for each
        target. If these pixels were scored before, return the results in the cache instead.

        Raises as the stream does, and `BundleError` for a damaged reference, before reading.
        """
        for target in self._targets:
            _ = target.reference.statistics
        known: list[ScoreRecord | FeatureSample] = []

        def is_known(identity: SetIdentity) -> bool:
            known.extend(
                self._results.find_all(self._targets, identity.sequence_digest, identity.num_images)
            )
            return bool(known)

        with watch.stage("intake and features"), reading.stream() as stream:
            extraction = Extraction(
                lambda: [target.network for target in self._targets],
                stream.num_images,
                subset=self._subset,
                seed=self._seed,
            )
            observer = ContentObserver(max(1, stream.num_images))
            identity = extraction.consume(
                stream, stage_of(progress, "features"), is_known=is_known, observe=observer.add
            )
            if not extraction.abandoned or self._contents.facts(identity.sequence_digest) is None:
                self._contents.put(identity.sequence_digest, observer.facts())
            if extraction.abandoned:
                return stream, known
            samples = extraction.samples()
        self._add_one_time_costs(watch)
        for target, sample in zip(self._targets, samples, strict=True):
            self._results.put_sample(target, identity, sample)
        return stream, samples

    def in_memory(
        self, target: Target, image_set: ImageSet, watch: Stopwatch, progress: Progress | None
    ) -> FeatureSample:
        """Return the features of images in memory."""
        images = image_set.images
        with watch.stage("features"):
            extraction = Extraction(
                lambda: [target.network], len(images), subset=self._subset, seed=self._seed
            )
            for start in range(0, len(images), ARRAY_BLOCK):
                extraction.add(images[start : start + ARRAY_BLOCK], stage_of(progress, "features"))
            sample = extraction.samples()[0]
        self._results.put_sample(target, image_set.identity, sample)
        return sample

    def _add_one_time_costs(self, watch: Stopwatch) -> None:
        """Add the time of the first batch, which includes loading and tuning, to the first
        submission, and the time of compiling to the submission that needed it.
        """
        if not self._has_run:
            first_s = sum(
                getattr(target.network, "first_batch_s", None) or 0.0 for target in self._targets
            )
            watch.times_s["of these, the first batch"] = round(first_s, 4)
            self._has_run = True
        compile_s = sum(_compile_s(target.network) for target in self._targets)
        if compile_s > self._reported_compile_s:
            watch.times_s[COMPILING_STAGE] = round(compile_s - self._reported_compile_s, 4)
            self._reported_compile_s = compile_s


def identity_of(stream: ImageStream) -> SetIdentity:
    """Return the identity of a fully read stream. Raises `InputError` if it had no images."""
    identity = stream.report.identity
    if identity is None:
        raise InputError(f"{stream.report.source}: no images to score")
    return identity


def stage_of(progress: Progress | None, name: str) -> CountProgress | None:
    """Return the callback for the progress of one stage."""
    return None if progress is None else functools.partial(progress, name)


def _compile_s(network: object) -> float:
    """Return the seconds that compiling has taken so far."""
    return getattr(getattr(network, "compiling", None), "compile_s", None) or 0.0
