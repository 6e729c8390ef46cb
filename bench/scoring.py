"""Score submissions: images -> features -> metrics against a reference -> `ScoreRecord`.

The only orchestration in the package. Everything below it works on arrays; everything above it
prints. A `Scorer` loads the reference and the extractor once and scores any number of submissions.
"""

from __future__ import annotations

import datetime
import functools
import operator
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from bench import provenance
from bench.cache import Cache, cache_key, default_root
from bench.devices import device_description, select_device
from bench.errors import BundleError, InputError, LatentbenchError, UsageError
from bench.evaluation import evaluate, select_metrics
from bench.expected import Expected, expected_values, metric_inputs
from bench.extractors import extractor_row
from bench.extractors.base import Extractor
from bench.features import extract
from bench.intake import (
    ImageSet,
    SubmissionSpec,
    image_set_of,
    load_spec,
    read_images,
    sanitise,
)
from bench.record import FindingEntry, Identity, Kind, ScoreRecord, Submission
from bench.references import Reference, find_manifest, load_reference, require_same_weights

DEFAULT_SEED = 2020

Progress = Callable[[str, int, int], None]  # stage, done, total


class Failure(NamedTuple):
    """A submission that could not be scored, and why."""

    source: str
    error: LatentbenchError


class ScorerOptions(TypedDict, total=False):
    """The arguments of `Scorer`, for functions that pass them on."""

    reference: str | Path
    extractor: str | None
    metrics: str | Iterable[str] | None
    spec: str | Path | SubmissionSpec | None
    seed: int
    device: str | None
    use_cache: bool


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


class Scorer:
    """One reference, one extractor, one list of metrics, ready for any number of submissions.

    `reference` is a name or the path of a manifest; `extractor` a name, the one the reference is
    built for when None; `metrics` names, all when None; `spec` a submission spec, its name or its
    file, none when anything readable will do; `seed` that of every draw; `device` "cpu" or "cuda",
    CUDA where there is one when None. Raises `UnknownNameError` for a name that no table holds,
    `UsageError` for a device that is not there, and `BundleError` when the reference was built
    with other weights than the extractor has.
    """

    def __init__(
        self,
        *,
        reference: str | Path = "mnist",
        extractor: str | None = None,
        metrics: str | Iterable[str] | None = None,
        spec: str | Path | SubmissionSpec | None = None,
        seed: int = DEFAULT_SEED,
        device: str | None = None,
        use_cache: bool = True,
    ) -> None:
        self.metrics = select_metrics(metrics)
        self.seed = _checked_seed(seed)
        self.spec = spec if isinstance(spec, SubmissionSpec | None) else load_spec(str(spec))
        self.cache = Cache(default_root() if use_cache else None)
        if extractor is not None:
            extractor_row(extractor)
        self.reference: Reference = load_reference(find_manifest(str(reference), extractor))
        manifest = self.reference.manifest
        self.row = extractor_row(manifest.extractor)
        if extractor is not None and extractor != manifest.extractor:
            raise BundleError(
                f"reference {manifest.name!r} holds features of extractor "
                f"{manifest.extractor!r}, not of {extractor!r}"
            )
        require_same_weights(manifest, self.row)
        self.device = select_device(None if device is None else str(device))

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
        if not str(path):
            raise UsageError("an empty path: give a folder, zip, npz, npy or idx file")
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
            report.images, sanitise(submission_name(path)), report.source, report.kind
        )
        findings = tuple(FindingEntry(**vars(finding)) for finding in report.findings)
        if submission.channels > self.row.channels:
            findings += (_colour_to_grey(submission.num_images, self.row.name),)
        return self._score(
            report.images,
            submission,
            findings,
            watch,
            official=limit is None or report.num_files <= limit,
            progress=progress,
        )

    def score_images(
        self, images: NDArray[np.uint8], *, name: str, progress: Progress | None = None
    ) -> ScoreRecord:
        """Score images in memory, uint8 N,H,W or N,H,W,C with C 1 or 3. Raises `InputError`."""
        watch = _Stopwatch()
        with watch.stage("intake"):
            array = np.asarray(images)
            image_set = image_set_of(array[..., None] if array.ndim == 3 else array)
        submission = _submission(image_set, sanitise(str(name)), "memory", "array")
        return self._score(image_set, submission, (), watch, official=True, progress=progress)

    def attempt(
        self, path: str | Path, *, limit: int | None = None, progress: Progress | None = None
    ) -> ScoreRecord | Failure:
        """`score`, with a failure as a result, so that one submission does not stop others."""
        try:
            return self.score(path, limit=limit, progress=progress)
        except LatentbenchError as error:
            return Failure(str(path), error)
        except OSError as error:  # a submission that went away or changed while it was read
            return Failure(str(path), InputError(f"{sanitise(str(path))}: {error}"))

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
        kept = self._kept(key)
        if kept is not None:
            return kept.model_copy(
                update={
                    "submission": submission,
                    "findings": findings,
                    "official": official,
                    "from_cache": True,
                    "created_at": _now(),
                    "timings_s": watch.times_s,
                }
            )
        with watch.stage("features"):
            features = extract(
                images,
                self.row,
                lambda: self.extractor,
                device=self.device,
                cache=self.cache,
                progress=None if progress is None else functools.partial(progress, "features"),
            )
        inputs = metric_inputs(self.reference, features, seed=self.seed, device=self.device)
        values = []
        expected = self._expected(len(images.images), watch)
        for position, metric in enumerate(self.metrics):
            if progress is not None:
                progress("metrics", position, len(self.metrics))
            with watch.stage(metric.name):
                values.append(evaluate(metric, inputs, expected[metric.name]))
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
            device=device_description(self.device),
            libraries=provenance.library_versions(),
            timings_s=watch.times_s,
            findings=findings,
            values=tuple(values),
        )
        self.cache.put("scores", key, record.model_dump_json().encode())
        return record

    def _kept(self, key: str) -> ScoreRecord | None:
        data = self.cache.get("scores", key)
        try:
            return None if data is None else ScoreRecord.model_validate_json(data)
        except ValidationError:  # of another schema
            return None

    def _protocol(self) -> dict[str, object]:
        return {
            "reference": self.reference.manifest.model_dump(mode="json"),
            "extractor": self.row.sha256,
            "metrics": [metric.name for metric in self.metrics],
            "seed": self.seed,
            "code": provenance.source_digest(),
            "libraries": provenance.library_versions(),
            "device": self.device.split(":")[0],
        }

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


def submission_name(path: str | Path) -> str:
    """The last two parts of a path as it was given, because every other team's folder is called
    `samples`; of the absolute path when it ends in dots.
    """
    given = Path(os.path.normpath(path))
    if given.name in ("", ".."):
        given = given.absolute().resolve()
    return "/".join(part for part in given.parts[-2:] if part not in ("/", ".."))


def _checked_seed(seed: int) -> int:
    number = operator.index(seed)
    if not 0 <= number < 2**32:
        raise UsageError(f"seed {number}: expected 0 to 2**32 - 1")
    return number


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
    fails gives a `Failure`, not an end.
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    scorer = Scorer(**options)
    for path in paths:
        yield scorer.attempt(path)
