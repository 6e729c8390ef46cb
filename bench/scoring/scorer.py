"""`Scorer`: submissions to records. `bench.scoring` describes the flow.

A scorer opens references and extractors once and scores any number of submissions. A submission is
decoded once, whatever the number of protocols, and never held in memory as a whole.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.content import ContentFacts, content_facts, with_names
from bench.content.thumbnails import thumbnails
from bench.errors import LatentbenchError, UsageError
from bench.intake import image_set_of, images_in_memory, sanitise
from bench.intake.failures import failure_of
from bench.metrics.base import MetricInputs
from bench.records.score_record import (
    ExtractorIdentity,
    FindingEntry,
    Identity,
    ScoreRecord,
    Submission,
)
from bench.records.submission import submission_name, submission_of
from bench.references.bundle import Reference
from bench.references.perfect_values import metric_inputs, perfect_values
from bench.runtime import provenance
from bench.runtime.cache import Cache, default_root
from bench.runtime.devices import device_description, select_device
from bench.runtime.progress import Progress, Stopwatch
from bench.scoring.content_cache import ContentCache, content_findings_of
from bench.scoring.detector_choice import cache_identity, detector_identity
from bench.scoring.detector_scores import FolderDetector, PixelsAt
from bench.scoring.evaluate import evaluate, has_failed
from bench.scoring.report_pictures import feature_exhibits, training_thumbnails
from bench.scoring.result_cache import Reading, ResultCache
from bench.scoring.scoring_code import scoring_code
from bench.scoring.settings import ScoreSettings
from bench.scoring.submission_features import SubmissionFeatures, identity_of, stage_of
from bench.scoring.target import Target, open_targets
from bench.statistics.moments import FeatureSample


class Failure(NamedTuple):
    """A submission that could not be scored, and why."""

    source: str
    error: LatentbenchError


class _Images(NamedTuple):
    """The images of one submission, and how to see them again."""

    submission: Submission
    names: Sequence[str]
    findings: tuple[FindingEntry, ...]  # of the audit
    official: bool
    facts: Callable[[], ContentFacts]
    pixels: PixelsAt


class _Basis(NamedTuple):
    """What a record was computed from."""

    inputs: MetricInputs
    sample: FeatureSample


class Scorer:
    """References, extractors and metrics, ready for any number of submissions.

    `settings` are the defaults when None; keywords change single ones, see `ScoreSettings`.
    `progress` is called while weights are downloaded and real images are read.

    Raises `UnknownNameError` for a name that no table holds, `UsageError` for an option or device
    that does not exist, and `BundleError` for weights that cannot be had and for a reference that
    was built with others.

    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    >>> scorer = Scorer(reference="mnist", metrics="modes_covered", use_cache=False)
    >>> record = scorer.score_images(images, name="noise")
    >>> record.value("modes_covered") <= 10
    True
    """

    def __init__(
        self,
        settings: ScoreSettings | None = None,
        *,
        progress: Progress | None = None,
        **options: Any,
    ) -> None:
        self.settings = ScoreSettings.of(settings, options)
        self.metrics = self.settings.metric_rows
        self.device = select_device(self.settings.device)
        self._cache = Cache(default_root() if self.settings.use_cache else None)
        cache = self._cache if self.settings.cache_submissions else Cache(None)
        detector = self.settings.detector_row
        self._contents = ContentCache(cache)
        self._results = ResultCache(
            cache,
            self.metrics,
            subset=self.settings.subset,
            seed=self.settings.seed,
            device=self.device,
            detector=cache_identity(detector) if detector and cache.root is not None else None,
        )
        self.targets = open_targets(
            self.settings, device=self.device, cache=self._cache, progress=progress
        )
        self._features = SubmissionFeatures(
            self.targets,
            self._results,
            self._contents,
            subset=self.settings.subset,
            seed=self.settings.seed,
        )
        self._detectors = {
            target: FolderDetector(detector, target, seed=self.settings.seed, device=self.device)
            for target in self.targets
            if detector is not None
        }
        self._last: dict[str, _Basis] = {}  # by signature, of the latest submission

    @property
    def reference(self) -> Reference:
        """The reference of the first target."""
        return self.targets[0].reference

    def score(
        self, path: str | Path, *, limit: int | None = None, progress: Progress | None = None
    ) -> ScoreRecord:
        """Read, check and score one folder, zip, npz, npy or idx file.

        With `limit`, only the first images by name are read and the record is unofficial. Raises
        `InvalidSubmission` (with every finding), `NothingFoundError`, `UsageError`, `InputError`.
        """
        if len(self.targets) > 1:
            raise UsageError(
                "several protocols give several records; use Scorer.score_all or score_many"
            )
        return self.score_all(path, limit=limit, progress=progress)[0]

    def score_all(
        self, path: str | Path, *, limit: int | None = None, progress: Progress | None = None
    ) -> list[ScoreRecord]:
        """Do as `score` does, and return a record for each target from one decoding."""
        if not str(path):
            raise UsageError("an empty path: give a folder, zip, npz, npy or idx file")
        watch = Stopwatch()
        reading = Reading(path, self.settings.submission_spec, limit, self.settings.size)
        found: Sequence[ScoreRecord | FeatureSample] | None = None
        hint = self._results.hint(reading, self.targets)
        if hint is not None:  # probably scored before: read first, and compute only if changed
            stream = reading.stream(stage_of(progress, "read"))
            with watch.stage("intake"), stream:
                for _ in stream:
                    pass
            stream.report.raise_if_invalid()
            if identity_of(stream).sequence_digest == hint.sequence_digest:
                found = hint.found
        if found is None:
            stream, found = self._features.of_file(reading, watch, progress)
            self._results.put_hint(reading, identity_of(stream))
        identity, report = identity_of(stream), stream.report
        images = _Images(
            submission=submission_of(
                identity,
                name=sanitise(submission_name(path)),
                source=report.source,
                kind=report.kind,
                resize=self.settings.size,
                array=report.array_name,
            ),
            names=identity.names,
            findings=tuple(FindingEntry(**vars(finding)) for finding in report.findings),
            official=limit is None or report.num_files <= limit,
            facts=reading.facts,
            pixels=reading.pixels,
        )
        return self._records(images, self.targets, found, watch, progress)

    def score_images(
        self, images: Any, *, name: str, progress: Progress | None = None
    ) -> ScoreRecord:
        """Score images in memory with the first target.

        `images` is an array or tensor, uint8 N,H,W or N,H,W,C with C 1 or 3, on any device; a list
        of PIL images; or an iterable of batches. Raises `InputError` for another shape or dtype,
        with the line that converts it.
        """
        watch = Stopwatch()
        with watch.stage("intake"):
            image_set = image_set_of(images_in_memory(images))
        target, identity = self.targets[0], image_set.identity
        found = self._results.find(target, identity.sequence_digest, identity.num_images)
        if found is None:
            found = self._features.in_memory(target, image_set, watch, progress)
        seen = _Images(
            submission=submission_of(
                identity, name=sanitise(str(name)), source="memory", kind="array", resize=None
            ),
            names=identity.names,
            findings=(),
            official=True,
            facts=lambda: content_facts(image_set.images),
            pixels=lambda rows: thumbnails(image_set.images[rows]),
        )
        return self._records(seen, [target], [found], watch, progress)[0]

    def attempt(
        self, path: str | Path, *, limit: int | None = None, progress: Progress | None = None
    ) -> list[ScoreRecord] | Failure:
        """Do as `score_all` does, and return any exception as a `Failure`, so that no submission
        stops the others. A defect becomes an `UnexpectedError` with a report.
        """
        try:
            return self.score_all(path, limit=limit, progress=progress)
        except Exception as error:  # noqa: BLE001  (whatever a submission brings to light)
            return Failure(str(path), failure_of(path, error))

    def exhibits(self, record: ScoreRecord) -> dict[str, NDArray[np.generic]]:
        """Return the pictures of a scored submission, see `bench.records.pictures_file`.

        They are those of the latest submission, or from the cache; empty if neither has them.
        """
        target = next((target for target in self.targets if _is_of(record, target)), None)
        if target is None:
            return {}
        identity = record.submission
        cached = self._results.exhibits(target, identity.sequence_digest)
        if cached is not None:
            return cached
        basis = self._last.get(record.signature)
        if basis is None:
            sample = self._results.sample(target, identity.sequence_digest, identity.num_images)
            if sample is None:
                return {}
            basis = _Basis(self._inputs(target, sample), sample)
        names = [entry.metric for entry in record.values if entry.value is not None]
        exhibits = feature_exhibits(
            basis.inputs,
            basis.sample,
            names,
            facts=self._contents.facts(identity.sequence_digest),
            training_images=training_thumbnails(target.reference),
            detector=record.detector,
        )
        exhibits |= self._contents.exhibits(
            target, identity.sequence_digest, basis.inputs.fake_classes
        )
        self._results.put_exhibits(target, identity.sequence_digest, exhibits)
        return exhibits

    def _records(
        self,
        images: _Images,
        targets: Sequence[Target],
        found: Sequence[ScoreRecord | FeatureSample],
        watch: Stopwatch,
        progress: Progress | None,
    ) -> list[ScoreRecord]:
        """Return a record for each target, from the cache or computed from features."""
        self._last.clear()
        records = []
        for target, one in zip(targets, found, strict=True):
            shown = images._replace(findings=_with_warnings(images, target))
            record = one
            if isinstance(record, FeatureSample):
                cached = self._results.record(target, images.submission.sequence_digest)
                record = record if cached is None else cached
            records.append(
                self._computed(target, shown, record, watch.copy(), progress)
                if isinstance(record, FeatureSample)
                else _from_cache(record, shown, self.settings, watch)
            )
        return records

    def _computed(
        self,
        target: Target,
        images: _Images,
        sample: FeatureSample,
        watch: Stopwatch,
        progress: Progress | None,
    ) -> ScoreRecord:
        """Compute every metric and the findings about content, and store the record."""
        inputs = self._inputs(target, sample)
        if target in self._detectors:
            with watch.stage("detector"):
                scores = self._detectors[target].scores(sample, images.pixels)
            inputs = dataclasses.replace(inputs, detector_scores=scores)
        with watch.stage("expected values"):
            perfect = perfect_values(
                target.reference,
                self.metrics,
                sample.n,
                n_kept=len(sample.rows),
                seed=self.settings.seed,
                device=self.device,
                cache=self._cache,
            )
        values = []
        for position, metric in enumerate(self.metrics):
            if progress is not None:
                progress("metrics", position, len(self.metrics))
            with watch.stage(metric.name):
                values.append(evaluate(metric, inputs, perfect[metric.name]))
        if progress is not None:
            progress("metrics", len(self.metrics), len(self.metrics))
        digest = images.submission.sequence_digest
        with watch.stage("content"):
            if self._contents.facts(digest) is None:
                self._contents.put(digest, images.facts())
            judgement = self._contents.judgement(target, digest, inputs.fake_classes)
            content = () if judgement is None else judgement.findings
        detector, extractor = self.settings.detector_row, target.extractor
        origin = target.reference.origin
        code = scoring_code(extractor, self.metrics, detector)
        record = ScoreRecord(
            created_at=_now(),
            submission=images.submission,
            reference=Identity(name=target.reference.name, digest=target.reference.digest),
            reference_origin=None if origin is None else origin.words,
            extractor=ExtractorIdentity(
                name=extractor.name,
                digest=extractor.digest,
                settings=dict(extractor.settings),
                verified=extractor.verified,
            ),
            code=Identity(name=provenance.version(), digest=code),
            seed=self.settings.seed,
            subset=len(sample.rows) if len(sample.rows) < sample.n else None,
            independent_images=inputs.independent(sample.n) if sample.copy_rate else None,
            official=images.official,
            detector=None if detector is None else detector_identity(detector),
            options=self.settings.options,
            device=device_description(self.device),
            libraries=provenance.library_versions(),
            timings_s=watch.times_s,
            findings=images.findings + content,  # with positions as examples, valid for any names
            values=tuple(values),
        )
        if not any(map(has_failed, values)):
            self._results.put_record(target, record)
        self._last[record.signature] = _Basis(inputs, sample)
        return record.model_copy(
            update={"findings": images.findings + with_names(content, images.names)}
        )

    def _inputs(self, target: Target, sample: FeatureSample) -> MetricInputs:
        return metric_inputs(target.reference, sample, seed=self.settings.seed, device=self.device)


def _with_warnings(images: _Images, target: Target) -> tuple[FindingEntry, ...]:
    """Return the findings of the audit and the warnings about extractor and reference.

    Nearly grey images lose no colour by becoming grey.
    """
    warnings = list(target.warnings(images.submission))
    if any(finding.code == "near-grey" for finding in images.findings):
        warnings = [one for one in warnings if one.code != "colour-to-grey"]
    return (*images.findings, *warnings)


def _from_cache(
    record: ScoreRecord, images: _Images, settings: ScoreSettings, watch: Stopwatch
) -> ScoreRecord:
    """Return a cached record as that of these images."""
    return record.model_copy(
        update={
            "submission": images.submission,
            "findings": images.findings + with_names(content_findings_of(record), images.names),
            "official": images.official,
            "options": settings.options,
            "from_cache": True,
            "created_at": _now(),
            "timings_s": watch.times_s,
        }
    )


def _is_of(record: ScoreRecord, target: Target) -> bool:
    """Return whether a record is of this reference and extractor."""
    made = record.extractor
    return (
        record.reference.digest == target.reference.digest
        and made.digest == target.extractor.digest
        and made.settings == dict(target.extractor.settings)
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def score(
    path: str | Path,
    settings: ScoreSettings | None = None,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> ScoreRecord:
    """Score one folder, zip, npz, npy or idx file. `options` are those of `ScoreSettings`.

    Raises what `Scorer` and `Scorer.score` raise.
    """
    return Scorer(settings, **options).score(path, limit=limit, progress=progress)


def score_many(
    paths: str | Path | Iterable[str | Path],
    settings: ScoreSettings | None = None,
    **options: Any,
) -> Iterator[ScoreRecord | Failure]:
    """Yield a record for each submission, or a `Failure`, opening the reference once.

    With `protocol="all"` a submission gives a record for each protocol. `options` are those of
    `ScoreSettings`. Raises what `Scorer` raises.
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    scorer = Scorer(settings, **options)
    for path in paths:
        result = scorer.attempt(path)
        if isinstance(result, Failure):
            yield result
        else:
            yield from result
