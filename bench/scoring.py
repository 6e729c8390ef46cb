"""Score submissions: images -> features -> metrics against a reference -> `ScoreRecord`.

The only orchestration in the package. Everything below it works on arrays; everything above it
prints. A `Scorer` loads the reference and the extractor once and scores any number of submissions.
"""

from __future__ import annotations

import datetime
import functools
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import provenance
from bench.cache import Cache, cache_key, default_root
from bench.errors import (
    BundleError,
    InputError,
    LatentbenchError,
    UnknownNameError,
    UsageError,
)
from bench.expected import Expected, expected_values
from bench.extractors import extractor_row
from bench.extractors.base import Extractor
from bench.intake import (
    ImageSet,
    SubmissionSpec,
    image_set_of,
    load_spec,
    read_images,
    sanitise,
)
from bench.metrics import METRICS
from bench.metrics.base import Metric, MetricInputs, UndefinedMetric
from bench.record import FindingEntry, Identity, Kind, ScoreRecord, ScoreValue, Submission
from bench.references import Reference, find_manifest, load_reference, require_same_weights
from bench.stats import Features, arrays_from_bytes, arrays_to_bytes

DEFAULT_SEED = 2020

Progress = Callable[[str, int, int], None]  # stage, done, total


class Failure(NamedTuple):
    """A submission that could not be scored, and why."""

    source: str
    error: LatentbenchError


@dataclass
class _Stopwatch:
    """Seconds by stage."""

    times_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.times_s[name] = round(self.times_s.get(name, 0.0) + elapsed, 4)


def select_metrics(names: Iterable[str] | None) -> list[Metric]:
    """Rows of the table by name, in the order of the table; all of them for None."""
    if names is None:
        return list(METRICS.values())
    wanted = set(names)
    for name in sorted(wanted):
        if name not in METRICS:
            raise UnknownNameError("metric", name, METRICS)
    return [metric for name, metric in METRICS.items() if name in wanted]


def select_device(name: str | None) -> str:
    """The device named; for None, CUDA when there is one, else the CPU."""
    import torch  # noqa: PLC0415  (heavy; listing names needs it not)

    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"device {name!r} cannot be used here (cpu, cuda): {reason}") from error
    return name


class Scorer:
    """One reference, one extractor, one list of metrics, ready for any number of submissions.

    Raises `UnknownNameError` for a name that no table holds and `BundleError` when the reference
    was built with other weights than the extractor has.
    """

    def __init__(
        self,
        *,
        reference: str = "mnist",
        extractor: str | None = None,
        metrics: Iterable[str] | None = None,
        seed: int = DEFAULT_SEED,
        device: str | None = None,
        use_cache: bool = True,
        spec: str | SubmissionSpec | None = None,
    ) -> None:
        self.metrics = select_metrics(metrics)
        self.seed = seed
        self.spec = load_spec(spec) if isinstance(spec, str) else spec
        self.cache = Cache(default_root() if use_cache else None)
        if extractor is not None:
            extractor_row(extractor)
        self._manifest_file = find_manifest(reference, extractor)
        self.reference: Reference = load_reference(self._manifest_file)
        manifest = self.reference.manifest
        self.row = extractor_row(manifest.extractor)
        if extractor is not None and extractor != manifest.extractor:
            raise BundleError(
                f"reference {manifest.name!r} holds features of extractor "
                f"{manifest.extractor!r}, not of {extractor!r}"
            )
        require_same_weights(manifest, self.row)
        self.device = select_device(device)

    @functools.cached_property
    def extractor(self) -> Extractor:
        return self.row.load(self.device)

    def score(
        self, path: str | Path, *, limit: int | None = None, progress: Progress | None = None
    ) -> ScoreRecord:
        """Read, check and score one submission.

        With `limit`, only the first images by name are read and the record is unofficial. Raises
        `InvalidSubmission` (with every finding), `NothingFoundError`, `UsageError`, `InputError`.
        """
        watch = _Stopwatch()
        with watch.stage("intake"):
            report = read_images(
                path,
                spec=self.spec,
                limit=limit,
                progress=None if progress is None else functools.partial(progress, "read"),
            )
        if report.images is None:
            raise InputError(f"{report.source}: no images to score")
        submission = _submission(
            report.images, sanitise(Path(path).resolve().name), report.source, report.kind
        )
        findings = tuple(FindingEntry(**vars(finding)) for finding in report.findings)
        if submission.channels > self.row.channels:
            findings += (_colour_to_grey(submission.num_images, self.row.name),)
        return self._score(
            report.images,
            submission,
            findings,
            watch,
            official=limit is None,
            progress=progress,
        )

    def score_images(
        self, images: NDArray[np.uint8], *, name: str, progress: Progress | None = None
    ) -> ScoreRecord:
        """Score images in memory, uint8 N,H,W,C with C 1 or 3. Raises `InputError`."""
        watch = _Stopwatch()
        with watch.stage("intake"):
            image_set = image_set_of(images)
        submission = _submission(image_set, sanitise(name), "memory", "array")
        return self._score(image_set, submission, (), watch, official=True, progress=progress)

    def attempt(
        self, path: str | Path, *, limit: int | None = None, progress: Progress | None = None
    ) -> ScoreRecord | Failure:
        """`score`, with a failure as a result, so that one submission does not stop others."""
        try:
            return self.score(path, limit=limit, progress=progress)
        except LatentbenchError as error:
            return Failure(str(path), error)

    def _score(
        self,
        images: ImageSet,
        submission: Submission,
        findings: tuple[FindingEntry, ...],
        watch: _Stopwatch,
        *,
        official: bool,
        progress: Progress | None,
    ) -> ScoreRecord:
        key = cache_key(self._protocol() | {"images": images.sequence_digest})
        kept = self.cache.get("scores", key)
        if kept is not None:
            return ScoreRecord.model_validate_json(kept).model_copy(
                update={
                    "submission": submission,
                    "findings": findings,
                    "official": official,
                    "from_cache": True,
                    "created_at": _now(),
                }
            )
        with watch.stage("features"):
            features = self._features(images, progress)
        inputs = self._inputs(features)
        values = []
        expected = self._expected(len(images.images), watch)
        for position, metric in enumerate(self.metrics):
            if progress is not None:
                progress("metrics", position, len(self.metrics))
            with watch.stage(metric.name):
                values.append(_evaluate(metric, inputs, expected[metric.name]))
        if progress is not None:
            progress("metrics", len(self.metrics), len(self.metrics))
        record = ScoreRecord(
            created_at=_now(),
            submission=submission,
            reference=Identity(name=self.reference.name, digest=self.reference.digest),
            extractor=Identity(name=self.row.name, digest=self.row.sha256),
            code=Identity(name=provenance.version(), digest=provenance.source_digest()),
            seed=self.seed,
            official=official,
            device=provenance.device_description(self.device),
            libraries=provenance.library_versions(),
            timings_s=watch.times_s,
            findings=findings,
            values=tuple(values),
        )
        self.cache.put("scores", key, record.model_dump_json().encode())
        return record

    def _protocol(self) -> dict[str, object]:
        return {
            "reference": self.reference.digest,
            "extractor": self.row.sha256,
            "metrics": [metric.name for metric in self.metrics],
            "seed": self.seed,
            "code": provenance.source_digest(),
            "device": self.device.split(":")[0],
        }

    def _features(self, images: ImageSet, progress: Progress | None) -> Features:
        key = cache_key(
            {
                "images": images.sequence_digest,
                "extractor": self.row.sha256,
                "code": provenance.source_digest(),
                "device": self.device.split(":")[0],
            }
        )
        kept = self.cache.get("features", key)
        if kept is not None:
            arrays = arrays_from_bytes(kept, f"cache entry {key}")
            logits = arrays.get("logits")
            return Features(
                arrays["values"].astype("float32"),
                None if logits is None else logits.astype("float32"),
            )
        features = self.extractor(
            images.images,
            progress=None if progress is None else functools.partial(progress, "features"),
        )
        arrays = {"values": features.values}
        if features.logits is not None:
            arrays["logits"] = features.logits
        self.cache.put("features", key, arrays_to_bytes(arrays))
        return features

    def _inputs(self, features: Features) -> MetricInputs:
        reference = self.reference
        return MetricInputs(
            fake_features=features.values,
            fake_probabilities=features.probabilities,
            real_features=reference.train,
            real_moments=reference.train_moments,
            real_class_shares=reference.class_shares,
            held_out_features=None if reference.test is None else reference.test.values,
            real_nearest=reference.train_nearest,
            held_out_nearest=reference.test_nearest,
            seed=self.seed,
            device=self.device,
        )

    def _expected(self, n_fake: int, watch: _Stopwatch) -> dict[str, Expected]:
        with watch.stage("expected values"):
            return expected_values(
                self.reference,
                self.metrics,
                n_fake,
                seed=self.seed,
                device=self.device,
                cache=self.cache,
            )


def _evaluate(metric: Metric, inputs: MetricInputs, expected: Expected) -> ScoreValue:
    n_real = None
    if metric.reads & {"moments", "class_shares"}:
        n_real = inputs.real_moments.n
    elif "features" in metric.reads:
        n_real = len(inputs.real_features)
    try:
        found, reason = metric.compute(inputs), None
    except UndefinedMetric as error:
        found, reason = None, str(error)
    return ScoreValue(
        metric=metric.name,
        value=None if found is None else found.value,
        reason=reason,
        spread=None if found is None else found.spread,
        expected=expected.value,
        expected_source=expected.source,
        direction=metric.direction,
        unit=metric.unit,
        n_real=n_real,
        n_fake=len(inputs.fake_features),
        constants=dict(metric.constants),
        details={} if found is None else dict(found.details),
    )


def _colour_to_grey(num_images: int, extractor: str) -> FindingEntry:
    return FindingEntry(
        code="colour-to-grey",
        severity="warning",
        count=num_images,
        examples=(),
        message=f"colour images; extractor {extractor!r} sees their ITU-R BT.601 luma only",
        fix="save grey images (R=G=B), or choose an extractor that sees colour",
    )


def _submission(images: ImageSet, name: str, source: str, kind: Kind) -> Submission:
    num_images, height, width, channels = images.images.shape
    return Submission(
        name=name,
        source=source,
        kind=kind,
        num_images=num_images,
        height_px=height,
        width_px=width,
        channels=3 if channels == 3 else 1,
        digest=images.digest,
        pixel_digest=images.pixel_digest,
        sequence_digest=images.sequence_digest,
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def score(
    path: str | Path,
    *,
    reference: str = "mnist",
    extractor: str | None = None,
    metrics: Iterable[str] | None = None,
    spec: str | SubmissionSpec | None = None,
    seed: int = DEFAULT_SEED,
    device: str | None = None,
    limit: int | None = None,
    use_cache: bool = True,
    progress: Progress | None = None,
) -> ScoreRecord:
    """Score one folder, zip, npz, npy or idx file; see `Scorer` for the arguments and errors."""
    scorer = Scorer(
        reference=reference,
        extractor=extractor,
        metrics=metrics,
        seed=seed,
        device=device,
        use_cache=use_cache,
        spec=spec,
    )
    return scorer.score(path, limit=limit, progress=progress)


def score_many(
    paths: Iterable[str | Path],
    *,
    reference: str = "mnist",
    extractor: str | None = None,
    metrics: Iterable[str] | None = None,
    spec: str | SubmissionSpec | None = None,
    seed: int = DEFAULT_SEED,
    device: str | None = None,
    use_cache: bool = True,
) -> Iterator[ScoreRecord | Failure]:
    """Score submissions one after the other, the reference loaded once; see `Scorer`. One that
    fails gives a `Failure`, not an end.
    """
    scorer = Scorer(
        reference=reference,
        extractor=extractor,
        metrics=metrics,
        seed=seed,
        device=device,
        use_cache=use_cache,
        spec=spec,
    )
    for path in paths:
        yield scorer.attempt(path)
