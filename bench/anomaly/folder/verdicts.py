"""Images without labels, judged by a cut-off from held-out normal images.

    bench.anomaly.judge_folder("normal/", "new/", detectors=["knn-pixels"], threshold_fpr=0.05,
                               out="found/")

A random fifth of the normal images is held out, and each detector is fitted to the others. An image
is anomalous if its score is above the cut-off (`bench.anomaly.threshold`), which another normal
image exceeds with probability `threshold_fpr` at most. `out` then holds `record.json`, and for each
detector `verdicts.csv` (name, score, rank, verdict; rank 1 is the most anomalous).

Shape legend: N images.
"""

from __future__ import annotations

import csv
import datetime
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bench.anomaly.choices import named_detectors
from bench.anomaly.detectors import DETECTORS
from bench.anomaly.detectors.code import detector_code
from bench.anomaly.detectors.failures import (
    WatchedSettings,
    checked_scores,
    failures_named,
)
from bench.anomaly.detectors.seen import extractor_of
from bench.anomaly.folder.entries import Options, read_from
from bench.anomaly.folder.labels import ANOMALOUS, NORMAL, same_channels
from bench.anomaly.folder.meaning import copies_findings
from bench.anomaly.folder.output_folder import (
    RECORD,
    folder_for_results,
    remove_earlier,
    require_apart,
)
from bench.anomaly.folder.record import MissedEntry, ThresholdEntry, VerdictEntry, VerdictRecord
from bench.anomaly.threshold import cutoff, split_normal
from bench.errors import InputError, UsageError
from bench.extractors import extractor_row
from bench.intake import AuditReport, parse_size, read_images
from bench.records.score_record import FindingEntry, Identity
from bench.runtime import provenance
from bench.runtime.code_digest import code_digest
from bench.runtime.devices import device_description, select_device
from bench.runtime.failures import failure_line
from bench.runtime.progress import Progress
from bench.runtime.whole_files import write_atomically
from bench.tables.escaping import csv_cell

VERDICTS = "verdicts.csv"
HEAD = ("name", "score", "rank", "verdict")


@dataclass(frozen=True, kw_only=True)
class VerdictResult:
    """The record, the names of the images, and the scores float64 N of each detector by name."""

    record: VerdictRecord
    names: tuple[str, ...]
    scores: Mapping[str, NDArray[np.float64]]

    def anomalous(self, detector: str) -> list[str]:
        """Return the names of the images that a detector takes for anomalous."""
        entry = next(one for one in self.record.detectors if one.name == detector)
        above = self.scores[detector] > entry.threshold.value
        return [name for name, yes in zip(self.names, above.tolist(), strict=True) if yes]


def judge_folder(
    train: str | Path,
    test: str | Path,
    *,
    detectors: str | Sequence[str],
    threshold_fpr: float,
    out: str | Path | None = None,
    extractor: str = "digits",
    options: Options | None = None,
    resize: str | None = None,
    seed: int = 0,
    device: str | None = None,
    progress: Progress | None = None,
) -> VerdictResult:
    """Judge the images of `test`, which have no labels, by detectors fitted to those of `train`.

    Both are anything that `score` takes. `detectors`, `extractor`, `options`, `resize` and `out`
    are those of `evaluate_folder`. A detector that fails is recorded, and the others judge.

    Raises `UsageError` (too few images to hold out for the rate, a detector that needs labels),
    `InvalidSubmission`, and `InputError` for images of two sizes. When all detectors fail, raises
    the error of the first.
    """
    names = named_detectors(detectors if isinstance(detectors, str) else ",".join(detectors))
    if options and len(names) != 1:
        raise UsageError(f"options belong to one detector, and {len(names)} are named")
    for name in names:
        if DETECTORS.find(name).labels == "test":
            raise UsageError(
                f"{name} is tuned on labelled images; choose a detector without labels"
            )
    extractor_row(extractor)
    device = select_device(device)
    if out is not None:
        require_apart(Path(out), (train, test), names)
    with folder_for_results(None if out is None else Path(out)):
        size = None if resize is None else parse_size(resize)
        normal, tested = read_images(train, resize=size), read_images(test, resize=size)
        images, asked = _both(normal, tested)
        split = split_normal(len(images), threshold_fpr, seed)
        entries: list[VerdictEntry] = []
        failed: list[MissedEntry] = []
        scores: dict[str, NDArray[np.float64]] = {}
        first: tuple[str, Exception] | None = None
        for place, name in enumerate(names):
            if progress is not None:
                progress(f"detector {name}", place, len(names))
            settings = WatchedSettings(
                seed=seed, device=device, extractor=extractor, options=dict(options or {})
            )
            try:
                entry, scores[name] = _judge_one(
                    settings, name, (images[split.fitted], images[split.held_out], asked),
                    threshold_fpr,
                )  # fmt: skip
            except Exception as error:  # noqa: BLE001  (code of any package)
                failed.append(MissedEntry(name=name, reason=failure_line(error)))
                first = first or (name, error)
                continue
            entries.append(entry)
        if not entries and first is not None:
            with failures_named(first[0]):
                raise first[1]
        record = VerdictRecord(
            created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            train=read_from(normal, train, size),
            test=read_from(tested, test, size),
            code=Identity(name=provenance.version(), digest=code_digest(__name__)),
            seed=seed,
            device=device_description(device),
            libraries=provenance.library_versions(),
            findings=(
                *(FindingEntry(**vars(f)) for f in (*normal.findings, *tested.findings)),
                *copies_findings(images),
            ),
            detectors=tuple(entries),
            failed=tuple(failed),
        )
        assert tested.images is not None  # noqa: S101  (read_images gives pixels or raises)
        result = VerdictResult(record=record, names=tested.images.names, scores=scores)
        if out is not None:
            _write(Path(out), result)
    return result


def _both(normal: AuditReport, tested: AuditReport) -> list[NDArray[np.uint8]]:
    """Return the pixels of both, with equal channels. Raises `InputError` for unequal sizes."""
    assert normal.images is not None  # noqa: S101  (read_images gives pixels or raises)
    assert tested.images is not None  # noqa: S101
    found = same_channels(normal.images.images, tested.images.images)
    if found[0].shape[1:3] != found[1].shape[1:3]:
        sizes = " and ".join(f"{x.shape[2]}x{x.shape[1]}" for x in found)
        raise InputError(
            f"training and test images are {sizes} px; bring them to one size: --resize "
            "WIDTHxHEIGHT"
        )
    return found


def _judge_one(
    settings: WatchedSettings,
    name: str,
    images: tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]],
    fpr: float,
) -> tuple[VerdictEntry, NDArray[np.float64]]:
    """Fit a detector, take its cut-off and score the images: fitted to, held out, asked about."""
    row = DETECTORS.find(name)
    fitted, held_out, asked = images
    start = time.perf_counter()
    detector = row.make(settings)
    detector.fit(fitted)
    settings.require_read(name)
    fit_s, start = time.perf_counter() - start, time.perf_counter()
    value = cutoff(checked_scores(name, detector.scores(held_out), len(held_out)), fpr)
    scores = checked_scores(name, detector.scores(asked), len(asked))
    entry = VerdictEntry(
        name=name,
        title=row.title,
        source=row.source,
        extractor=extractor_of(row, settings.extractor),
        given=dict(settings.options),
        code=detector_code(row, settings.extractor),
        threshold=ThresholdEntry(value=value, fpr=fpr, num_held_out=len(held_out)),
        num_images=len(asked),
        num_anomalous=int((scores > value).sum()),
        fit_s=round(fit_s, 4),
        score_s=round(time.perf_counter() - start, 4),
    )
    return entry, scores


def _write(out: Path, result: VerdictResult) -> None:
    """Write the verdicts and the record, and remove the results of an earlier run."""
    try:
        remove_earlier(out, ())
        (out / "roc.svg").unlink(missing_ok=True)
        for entry in result.record.detectors:
            write_atomically(out / entry.name / VERDICTS, _csv(result, entry).encode())
        write_atomically(out / RECORD, f"{result.record.model_dump_json(indent=1)}\n".encode())
    except OSError as error:
        raise UsageError(
            f"{out}: the results cannot be written there: {error.strerror or error}; name another "
            "folder with --out"
        ) from error


def _csv(result: VerdictResult, entry: VerdictEntry) -> str:
    scores = result.scores[entry.name]
    ranks = rankdata(-scores, method="min").astype(int).tolist()
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(HEAD)
    for name, score, rank in zip(result.names, scores.tolist(), ranks, strict=True):
        verdict = ANOMALOUS if score > entry.threshold.value else NORMAL
        writer.writerow([csv_cell(name), repr(score), rank, verdict])
    return stream.getvalue()
