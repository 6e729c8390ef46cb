"""The parts of a record of a labelled folder: what was read, findings, and results of detectors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.anomaly.choices import Budget
from bench.anomaly.detectors.code import detector_code
from bench.anomaly.detectors.seen import extractor_of, seen_by
from bench.anomaly.fit_and_judge import Judged, Task
from bench.anomaly.folder.labels import LabelledImages
from bench.anomaly.folder.meaning import copies_findings, result_findings
from bench.anomaly.folder.overlap import colour_finding, overlap_findings
from bench.anomaly.folder.record import DetectorEntry, ThresholdEntry
from bench.anomaly.threshold import cutoff
from bench.intake import AuditReport, Size, sanitise
from bench.records.score_record import FindingEntry, IntervalEntry, Submission
from bench.records.submission import submission_name, submission_of
from bench.statistics.intervals import LEVEL

Options = Mapping[str, float | int | str]


def read_from(report: AuditReport, path: str | Path, size: Size | None) -> Submission:
    """Return what was read from a path, resized to one size."""
    identity = report.identity
    assert identity is not None  # noqa: S101  (a valid report has one)
    return submission_of(
        identity,
        name=sanitise(submission_name(path)),
        source=report.source,
        kind=report.kind,
        resize=size,
        array=report.array_name,
    )


def file_sha256(path: str | Path) -> str:
    """Return SHA-256 of the bytes of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def findings_of(
    normal: AuditReport, tested: LabelledImages, task: Task, judged: Sequence[Judged]
) -> tuple[FindingEntry, ...]:
    """Return the findings of intake, and those about overlapping images, copies to learn from and
    results that mean nothing.
    """
    assert normal.images is not None  # noqa: S101  (read_images gives pixels or raises)
    names = ("normal test", "anomalous test") if len(tested.channels) > 1 else ("test",)
    shapes = dict(zip(names, tested.channels, strict=True))
    shapes["training"] = normal.images.images.shape[3]
    return (
        *(FindingEntry(**vars(finding)) for finding in (*normal.findings, *tested.findings)),
        *colour_finding(shapes, len(task.normal) + len(task.images)),
        *overlap_findings(task.normal, task.images, task.labels, tested.names),
        *copies_findings(task.normal),
        *result_findings(judged),
    )


def entry_of(
    one: Judged,
    task: Task,
    extractor: str,
    options: Mapping[str, Options],
    fpr: float | None = None,
) -> DetectorEntry:
    """Return the entry of a judged detector. `options` are the given options by detector, `fpr` is
    the false positive rate of its cut-off.
    """
    row, numbers = one.row, one.numbers
    given = dict(options[row.name])
    seen = seen_by(row, extractor)
    interval = numbers.interval
    return DetectorEntry(
        name=row.name,
        title=row.title,
        source=row.source,
        labels=seen.labels,
        seen=seen.words,
        extractor=extractor_of(row, extractor),
        budget=_budget_of(given) if row.trains else None,
        options=one.options or given,
        given=given,
        code=detector_code(row, extractor),
        num_tuned=len(task.labels) - len(one.rows),
        num_normal=numbers.num_normal,
        num_anomalous=numbers.num_anomalous,
        auc=numbers.auc,
        interval=None if interval is None else IntervalEntry(**interval._asdict(), level=LEVEL),
        average_precision=numbers.average_precision,
        fpr_at_95_tpr=numbers.fpr_at_95_tpr,
        threshold=None if fpr is None else _threshold(one, task, fpr),
        fit_s=one.fit_s,
        score_s=one.score_s,
    )


def _threshold(one: Judged, task: Task, fpr: float) -> ThresholdEntry:
    assert one.held_out is not None  # noqa: S101  (a rate holds normal images out)
    value = cutoff(one.held_out, fpr)
    above, labels = one.scores > value, task.labels[one.rows]
    return ThresholdEntry(
        value=value,
        fpr=fpr,
        num_held_out=len(one.held_out),
        found_fpr=float(above[labels == 0].mean()),
        found_tpr=float(above[labels == 1].mean()),
    )


def _budget_of(given: Options) -> Budget:
    return "cpu" if given.get("budget") == "cpu" else "published"
