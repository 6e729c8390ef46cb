"""Score submissions: images -> features -> metrics against a reference -> `ScoreRecord`.

The only orchestration in the package. Everything below it works on arrays; everything above it
prints. A `Scorer` loads references and extractors once and scores any number of submissions. A
submission is decoded once, whatever the number of protocols, and never held in memory as a whole.
"""

from __future__ import annotations

import dataclasses
import datetime
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from bench.content import ContentFacts, content_facts, with_names
from bench.content.thumbnails import thumbnails
from bench.errors import InputError, LatentbenchError, UsageError
from bench.extractors.base import ExtractorChoice
from bench.intake import (
    Size,
    SubmissionSpec,
    image_set_of,
    load_spec,
    parse_size,
    sanitise,
)
from bench.metrics.anomaly_auc import ANOMALY_AUC
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
from bench.references.perfect_values import Expected, expected_values, metric_inputs
from bench.runtime import provenance
from bench.runtime.cache import Cache, default_root
from bench.runtime.devices import device_description, select_device
from bench.runtime.progress import Progress, Stopwatch
from bench.scoring.content_cache import ContentCache, content_findings_of
from bench.scoring.detector_scores import (
    FolderDetector,
    PixelsAt,
    cached_by,
    chosen_detector,
    detector_identity,
)
from bench.scoring.evaluate import evaluate, select_metrics
from bench.scoring.report_pictures import feature_exhibits, training_thumbnails
from bench.scoring.result_cache import Reading, ResultCache
from bench.scoring.scoring_code import scoring_code
from bench.scoring.submission_features import SubmissionFeatures, identity_of, stage_of
from bench.scoring.target import Target, open_targets
from bench.statistics.moments import SUBSET_SIZE, FeatureSample

DEFAULT_SEED = 2020
ARRAY_BLOCK = 512  # images of an array that are handed on together


class Failure(NamedTuple):
    """A submission that could not be scored, and why."""

    source: str
    error: LatentbenchError


class MadeOf(NamedTuple):
    """What a record was computed from."""

    inputs: MetricInputs
    sample: FeatureSample


class ScorerOptions(TypedDict, total=False):
    """The arguments of `Scorer`, for functions that pass them on."""

    reference: str | Path
    extractor: str | None
    layer: str | None
    protocol: str | None
    precision: str | None
    weights: str | Path | None
    unverified_weights: bool
    batch_size: int | None
    compiled: bool
    metrics: str | Iterable[str] | None
    spec: str | Path | SubmissionSpec | None
    resize: str | Size | None
    subset: int
    seed: int
    detector: str | None
    budget: str | None
    device: str | None
    use_cache: bool


class Scorer:
    """References, extractors and a list of metrics, ready for any number of submissions.

    `reference` is the name of a bundle, the path of its manifest, or a folder, zip, npz, npy or
    idx file of real images. `extractor` is a name, the one the reference is built for when None
    (`inception` for real images); `layer`, `protocol` and `precision` are its own defaults when
    None, `protocol="all"` gives a record for each. `weights` is a file to use, refused when its
    digest is not the published one unless `unverified_weights` is set. `metrics` names, all when
    None; `spec` a submission spec, its name or its file; `resize` brings images of other sizes to
    WIDTHxHEIGHT. Of more than `subset` images, FID, Inception Score and class metrics see all, the
    others a fixed random choice. `seed` is that of every draw, `detector` names what judges
    `anomaly_auc` (the distance to the 5th nearest train feature when None), `budget` "cpu" shortens
    the training of one that is a network, `device` is "cpu" or "cuda", CUDA where there is one
    when None.

    Raises `UnknownNameError` for a name that no table holds, `UsageError` for a device or option
    that is not there, and `BundleError` for weights that cannot be had and for a reference that
    was built with others.
    """

    def __init__(
        self,
        *,
        reference: str | Path = "mnist",
        extractor: str | None = None,
        layer: str | None = None,
        protocol: str | None = None,
        precision: str | None = None,
        weights: str | Path | None = None,
        unverified_weights: bool = False,
        batch_size: int | None = None,
        compiled: bool = False,
        metrics: str | Iterable[str] | None = None,
        spec: str | Path | SubmissionSpec | None = None,
        resize: str | Size | None = None,
        subset: int = SUBSET_SIZE,
        seed: int = DEFAULT_SEED,
        detector: str | None = None,
        budget: str | None = None,
        device: str | None = None,
        use_cache: bool = True,
        progress: Progress | None = None,
    ) -> None:
        self.detector = chosen_detector(detector, budget)
        self.metrics = select_metrics(metrics, self.detector)
        if not any(metric.name == ANOMALY_AUC.name for metric in self.metrics):
            self.detector = None  # nothing asks for it
        self._detector_name = None if self.detector is None else detector_identity(self.detector)
        self.seed = _checked_seed(seed)
        self.spec = spec if isinstance(spec, SubmissionSpec | None) else load_spec(str(spec))
        self.resize = resize if isinstance(resize, Size | None) else parse_size(resize)
        self.subset = operator.index(subset)
        if self.subset < 2:
            raise UsageError(f"subset {subset}: expected at least 2 images")
        self.cache = Cache(default_root() if use_cache else None)
        self.device = select_device(None if device is None else str(device))
        self._last: dict[str, MadeOf] = {}  # by signature, of the submission scored last
        self.contents = ContentCache(self.cache)
        self.kept = ResultCache(
            self.cache,
            self.metrics,
            subset=self.subset,
            seed=self.seed,
            device=self.device,
            detector=cached_by(self.detector) if self.detector and use_cache else None,
        )
        self.targets = open_targets(
            str(reference),
            extractor,
            ExtractorChoice(
                layer=layer,
                protocol=protocol,
                precision=precision,
                weights=None if weights is None else Path(weights),
                unverified_weights=unverified_weights,
                batch_size=batch_size,
                compiled=compiled,
            ),
            resize=self.resize,
            subset=self.subset,
            device=self.device,
            cache=self.cache,
            progress=progress,
        )
        self._extractions = SubmissionFeatures(
            self.targets, self.kept, self.contents, subset=self.subset, seed=self.seed
        )
        self._detectors = (
            {}
            if self.detector is None
            else {
                target: FolderDetector(self.detector, target, seed=self.seed, device=self.device)
                for target in self.targets
            }
        )

    @property
    def reference(self) -> Reference:
        """The reference of the first extractor."""
        return self.targets[0].reference

    def score(
        self, path: str | Path, *, limit: int | None = None, progress: Progress | None = None
    ) -> ScoreRecord:
        """Read, check and score one submission.

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
        """`score`, with a record for each protocol from one decoding."""
        if not str(path):
            raise UsageError("an empty path: give a folder, zip, npz, npy or idx file")
        watch = Stopwatch()
        reading = Reading(path, self.spec, limit, self.resize)
        found: Sequence[ScoreRecord | FeatureSample] | None = None
        hint = self.kept.hint(reading, self.targets)
        if hint is not None:  # known by name and time: look before computing anything
            stream = reading.stream(stage_of(progress, "read"))
            with watch.stage("intake"), stream:
                for _ in stream:
                    pass
            stream.report.raise_if_invalid()
            if identity_of(stream).sequence_digest == hint.sequence_digest:
                found = hint.found
        if found is None:
            stream, found = self._extractions.of_file(reading, watch, progress)
        identity, report = identity_of(stream), stream.report
        self.kept.put_hint(reading, identity)
        self._last.clear()
        submission = submission_of(
            identity,
            name=sanitise(submission_name(path)),
            source=report.source,
            kind=report.kind,
            resize=self.resize,
        )
        findings = tuple(FindingEntry(**vars(finding)) for finding in report.findings)
        official = limit is None or report.num_files <= limit
        return [
            self._score(
                target,
                submission,
                findings,
                watch,
                found=one,
                names=identity.names,
                read_again=reading.facts,
                pixels=reading.pixels,
                official=official,
                progress=progress,
            )
            for target, one in zip(self.targets, found, strict=True)
        ]

    def score_images(
        self, images: NDArray[np.uint8], *, name: str, progress: Progress | None = None
    ) -> ScoreRecord:
        """Score images in memory, uint8 N,H,W or N,H,W,C with C 1 or 3, with the first extractor.
        Raises `InputError`.
        """
        watch = Stopwatch()
        with watch.stage("intake"):
            array = np.asarray(images)
            image_set = image_set_of(array[..., None] if array.ndim == 3 else array)
        submission = submission_of(
            image_set.identity, name=sanitise(str(name)), source="memory", kind="array", resize=None
        )
        self._last.clear()
        target = self.targets[0]
        found = self.kept.find(target, submission.sequence_digest, submission.num_images)
        if found is None:
            found = self._extractions.in_memory(target, image_set, watch, progress)
        return self._score(
            target,
            submission,
            (),
            watch,
            found=found,
            names=image_set.names,
            read_again=lambda: content_facts(image_set.images),
            pixels=lambda rows: thumbnails(image_set.images[rows]),
            official=True,
            progress=progress,
        )

    def content_of(self, sequence_digest: str) -> ContentFacts | None:
        """What the pixels of a submission are like: of the one that came last, or from the cache;
        None when neither holds them.
        """
        return self.contents.facts(sequence_digest)

    def exhibits(self, record: ScoreRecord) -> dict[str, NDArray[np.generic]]:
        """What a page shows of a submission beside its record; see `bench.records.pictures_file`.

        Of the submission that was scored last, or from the cache; empty when neither holds it.
        """
        target = next((target for target in self.targets if _scored(target, record)), None)
        if target is None:
            return {}
        identity = record.submission
        kept = self.kept.exhibits(target, identity.sequence_digest)
        if kept is not None:
            return kept
        made_of = self._last.get(record.signature)
        if made_of is None:
            sample = self.kept.sample(target, identity.sequence_digest, identity.num_images)
            if sample is None:
                return {}
            inputs = metric_inputs(target.reference, sample, seed=self.seed, device=self.device)
            made_of = MadeOf(inputs, sample)
        names = [entry.metric for entry in record.values if entry.value is not None]
        exhibits = feature_exhibits(
            made_of.inputs,
            made_of.sample,
            names,
            facts=self.contents.facts(identity.sequence_digest),
            training_images=training_thumbnails(target.reference, target.training_pixels),
            detector=record.detector,
        )
        exhibits |= self.contents.exhibits(
            target, identity.sequence_digest, made_of.inputs.fake_classes
        )
        self.kept.put_exhibits(target, identity.sequence_digest, exhibits)
        return exhibits

    def attempt(
        self, path: str | Path, *, limit: int | None = None, progress: Progress | None = None
    ) -> list[ScoreRecord] | Failure:
        """`score_all`, with a failure as a result, so that one submission does not stop others."""
        try:
            return self.score_all(path, limit=limit, progress=progress)
        except LatentbenchError as error:
            return Failure(str(path), error)
        except OSError as error:  # a submission that went away or changed while it was read
            return Failure(str(path), InputError(f"{sanitise(str(path))}: {error}"))

    def _score(
        self,
        target: Target,
        submission: Submission,
        findings: tuple[FindingEntry, ...],
        watch: Stopwatch,
        *,
        found: ScoreRecord | FeatureSample,
        names: Sequence[str],
        read_again: Callable[[], ContentFacts],
        pixels: PixelsAt,
        official: bool,
        progress: Progress | None,
    ) -> ScoreRecord:
        findings += tuple(target.warnings(submission))
        if isinstance(found, FeatureSample):
            record = self.kept.record(target, submission.sequence_digest)
        else:
            record = found
        if record is not None:
            return record.model_copy(
                update={
                    "submission": submission,
                    "findings": findings + with_names(content_findings_of(record), names),
                    "official": official,
                    "from_cache": True,
                    "created_at": _now(),
                    "timings_s": watch.times_s,
                }
            )
        sample = found
        assert isinstance(sample, FeatureSample)  # noqa: S101  (else it was a record)
        watch = watch.copy()
        inputs = metric_inputs(target.reference, sample, seed=self.seed, device=self.device)
        if target in self._detectors:
            with watch.stage("detector"):
                scores = self._detectors[target].scores(sample, pixels)
            inputs = dataclasses.replace(inputs, detector_scores=scores)
        values = []
        expected = self._expected(target, sample, watch)
        for position, metric in enumerate(self.metrics):
            if progress is not None:
                progress("metrics", position, len(self.metrics))
            with watch.stage(metric.name):
                values.append(evaluate(metric, inputs, expected[metric.name]))
        if progress is not None:
            progress("metrics", len(self.metrics), len(self.metrics))
        with watch.stage("content"):
            if self.contents.facts(submission.sequence_digest) is None:
                self.contents.put(submission.sequence_digest, read_again())
            judgement = self.contents.judgement(
                target, submission.sequence_digest, inputs.fake_classes
            )
            content = () if judgement is None else judgement.findings
        extractor = target.extractor
        code = scoring_code(extractor, self.metrics, self.detector)
        record = ScoreRecord(
            created_at=_now(),
            submission=submission,
            reference=Identity(name=target.reference.name, digest=target.reference.digest),
            extractor=ExtractorIdentity(
                name=extractor.name,
                digest=extractor.digest,
                settings=dict(extractor.settings),
                verified=extractor.verified,
            ),
            code=Identity(name=provenance.version(), digest=code),
            seed=self.seed,
            subset=len(sample.rows) if len(sample.rows) < sample.n else None,
            official=official,
            detector=self._detector_name,
            device=device_description(self.device),
            libraries=provenance.library_versions(),
            timings_s=watch.times_s,
            findings=findings + content,  # whose examples are positions, so for any names
            values=tuple(values),
        )
        self.kept.put_record(target, record)
        self._last[record.signature] = MadeOf(inputs, sample)
        return record.model_copy(update={"findings": findings + with_names(content, names)})

    def _expected(
        self, target: Target, sample: FeatureSample, watch: Stopwatch
    ) -> dict[str, Expected]:
        with watch.stage("expected values"):
            return expected_values(
                target.reference,
                self.metrics,
                sample.n,
                n_kept=len(sample.rows),
                seed=self.seed,
                device=self.device,
                cache=self.cache,
            )


def _scored(target: Target, record: ScoreRecord) -> bool:
    """Whether a record is of this reference and extractor."""
    made = record.extractor
    return (
        record.reference.digest == target.reference.digest
        and made.digest == target.extractor.digest
        and made.settings == dict(target.extractor.settings)
    )


def _checked_seed(seed: int) -> int:
    number = operator.index(seed)
    if not 0 <= number < 2**32:
        raise UsageError(f"seed {number}: expected 0 to 2**32 - 1")
    return number


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def score(
    path: str | Path,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
    **options: Unpack[ScorerOptions],
) -> ScoreRecord:
    """Score one folder, zip, npz, npy or idx file; `Scorer` explains the options and errors."""
    return Scorer(**options).score(path, limit=limit, progress=progress)


def score_many(
    paths: str | Path | Iterable[str | Path], **options: Unpack[ScorerOptions]
) -> Iterator[ScoreRecord | Failure]:
    """Score submissions one after the other, the reference loaded once; see `Scorer`. One that
    fails gives a `Failure`, not an end; with `protocol="all"` one gives a record for each.
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    scorer = Scorer(**options)
    for path in paths:
        result = scorer.attempt(path)
        if isinstance(result, Failure):
            yield result
        else:
            yield from result
