"""Detectors judged on a folder of one's own: fitted on normal images, scored on labelled ones.

    bench.anomaly.evaluate_folder("normal/", "test/", detectors=["pca", "knn-pixels"], out="found/")

`out` then holds `record.json`, `roc.svg`, and for each detector a folder with `scores.csv` (name,
label, score, rank; rank 1 is the most anomalous, equal scores share the better rank),
`histogram.svg` and `most-anomalous.png`.
"""

from __future__ import annotations

import csv
import datetime
import hashlib
import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import rankdata

from bench import provenance
from bench.anomaly.benchmark import named_detectors
from bench.anomaly.judging import Judged, Task, judge
from bench.anomaly.labelled import KINDS, LabelledImages, read_labelled, same_channels
from bench.anomaly.pictures import anomalies_figure, histogram_figure, roc_figure
from bench.anomaly.record import AnomalyRecord, DetectorEntry
from bench.arms import submission_name
from bench.detectors import detector
from bench.devices import device_description, select_device
from bench.errors import InputError, UsageError
from bench.extractors import extractor_row
from bench.intake import AuditReport, Size, parse_size, read_images, sanitise
from bench.plots import figure_png, figure_svg
from bench.record import FindingEntry, Identity, IntervalEntry, Submission
from bench.stats import write_atomically
from bench.table_formats import csv_cell
from bench.uncertainty import LEVEL

Progress = Callable[[str, int, int], None]  # stage, done, total
Options = Mapping[str, float | int | str]


@dataclass(frozen=True, kw_only=True)
class FolderResult:
    """The record, and what it was read from."""

    record: AnomalyRecord
    task: Task
    names: tuple[str, ...]
    judged: tuple[Judged, ...]


def evaluate_folder(
    train: str | Path,
    test: str | Path,
    *,
    detectors: str | Sequence[str],
    labels: str | Path | None = None,
    out: str | Path | None = None,
    extractor: str = "digits",
    options: Options | None = None,
    resize: str | Size | None = None,
    seed: int = 0,
    device: str | None = None,
    progress: Progress | None = None,
) -> FolderResult:
    """Fit each detector to the normal images of `train` and judge it on the labelled `test`.

    `train` is anything that `score` takes. `test` is a folder with `normal/` and `anomalous/`, or
    anything that `score` takes with `labels`, a CSV of name,label. `detectors` are names of the
    table, "shallow" for those that train no network, "all" for every one. `extractor` is that of
    detectors on features, `options` are for a single detector, `resize` brings images of other
    sizes to WIDTHxHEIGHT. With `out`, the files that this module names are written there.

    Raises `UnknownNameError`, `UsageError`, `InvalidSubmission` with every finding, and
    `InputError` for labels or images that do not fit.
    """
    if out is not None:
        _require_writable(Path(out))
    given = detectors if isinstance(detectors, str) else ",".join(detectors)
    names = named_detectors(given)
    if options and len(names) != 1:
        raise UsageError(f"options are those of one detector, {len(names)} are named")
    extractor_row(extractor)
    device = select_device(device)
    size = resize if isinstance(resize, Size | None) else parse_size(resize)
    normal = read_images(train, resize=size)
    tested = read_labelled(test, labels, resize=size)
    task = _task(normal, tested)
    judged = []
    for place, name in enumerate(names):
        if progress is not None:
            progress(f"detector {name}", place, len(names))
        judged.append(
            judge(
                detector(name),
                task,
                seed=seed,
                device=device,
                extractor=extractor,
                options=options,
            )
        )
    record = AnomalyRecord(
        created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        train=_submission(normal, train, size),
        test=tuple(_submission(report, report.source, size) for report in tested.reports),
        labels_sha256=None if labels is None else _sha256(labels),
        code=Identity(name=provenance.version(), digest=provenance.source_digest()),
        seed=seed,
        device=device_description(device),
        libraries=provenance.library_versions(),
        findings=tuple(
            FindingEntry(**vars(finding)) for finding in (*normal.findings, *tested.findings)
        ),
        detectors=tuple(entry_of(one, task, extractor, options or {}) for one in judged),
    )
    result = FolderResult(record=record, task=task, names=tested.names, judged=tuple(judged))
    if out is not None:
        write_result(result, Path(out))
    return result


def _require_writable(out: Path) -> None:
    """Make the folder for results before anything is computed. Raises `UsageError`."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UsageError(f"{out}: results cannot be written there: {error}") from error


def _task(normal: AuditReport, tested: LabelledImages) -> Task:
    """Raises `InputError` when the two sides have other sizes."""
    assert normal.images is not None  # noqa: S101  (read_images gives pixels or raises)
    train, test = same_channels(normal.images.images, tested.images)
    if train.shape[1:3] != test.shape[1:3]:
        raise InputError(
            f"{normal.source}: training images are {train.shape[2]}x{train.shape[1]} px, test "
            f"images {test.shape[2]}x{test.shape[1]} px; bring them to one size: "
            "--resize WIDTHxHEIGHT"
        )
    return Task(normal=train, images=test, labels=tested.labels)


def _submission(report: AuditReport, path: str | Path, size: Size | None) -> Submission:
    identity = report.identity
    assert identity is not None  # noqa: S101  (a valid report has one)
    return Submission(
        name=sanitise(submission_name(path)),
        source=report.source,
        kind=report.kind,
        num_images=identity.num_images,
        height_px=identity.height,
        width_px=identity.width,
        channels=3 if identity.channels == 3 else 1,
        resize=None if size is None else f"{size.width}x{size.height}",
        digest=identity.digest,
        pixel_digest=identity.pixel_digest,
        sequence_digest=identity.sequence_digest,
    )


def _sha256(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def entry_of(one: Judged, task: Task, extractor: str, options: Options) -> DetectorEntry:
    """A judged detector as a record keeps it."""
    row, numbers = one.row, one.numbers
    interval = numbers.interval
    return DetectorEntry(
        name=row.name,
        title=row.title,
        source=row.source,
        labels=row.labels,
        extractor=extractor if row.reads == "features" else None,
        options=dict(row.constants) | dict(options),
        num_tuned=len(task.labels) - len(one.rows),
        num_normal=numbers.num_normal,
        num_anomalous=numbers.num_anomalous,
        auc=numbers.auc,
        interval=None if interval is None else IntervalEntry(**interval._asdict(), level=LEVEL),
        average_precision=numbers.average_precision,
        fpr_at_95_tpr=numbers.fpr_at_95_tpr,
        fit_s=one.fit_s,
        score_s=one.score_s,
    )


def write_result(result: FolderResult, out: Path) -> None:
    """Every file of a result, each whole or not at all. Raises `UsageError` when `out` cannot be
    written.
    """
    try:
        for one in result.judged:
            folder = out / one.row.name
            write_atomically(folder / "scores.csv", _scores_csv(one, result).encode())
            figure = histogram_figure(one, result.task)
            write_atomically(folder / "histogram.svg", figure_svg(figure).encode())
            figure = anomalies_figure(one, result.task)
            write_atomically(folder / "most-anomalous.png", figure_png(figure))
        svg = figure_svg(roc_figure(result.judged, result.task))
        write_atomically(out / "roc.svg", svg.encode())
        text = result.record.model_dump_json(indent=1) + "\n"
        write_atomically(out / "record.json", text.encode())
    except OSError as error:
        raise UsageError(f"{out}: the results cannot be written there: {error}") from error


def _scores_csv(one: Judged, result: FolderResult) -> str:
    """Name, label, score and rank of every judged image, in the order of the images."""
    ranks = rankdata(-one.scores, method="min").astype(int)
    labels = result.task.labels
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["name", "label", "score", "rank"])
    for row, score, rank in zip(
        one.rows.tolist(), one.scores.tolist(), ranks.tolist(), strict=True
    ):
        writer.writerow([csv_cell(result.names[row]), KINDS[labels[row]], repr(score), rank])
    return stream.getvalue()
