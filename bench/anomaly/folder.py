"""Detectors judged on a folder of one's own: fitted on normal images, scored on labelled ones.

    bench.anomaly.evaluate_folder("normal/", "test/", detectors=["pca", "knn-pixels"], out="found/")

`out` then holds `record.json`, `roc.svg`, and for each detector a folder with `scores.csv` (name,
label, score, rank; rank 1 is the most anomalous, equal scores share the better rank),
`histogram.svg` and `most-anomalous.png`. Detectors that an earlier run left there and this one does
not have are removed. A detector that fails is told and the others are judged.
"""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from scipy.stats import rankdata

from bench import provenance
from bench.anomaly.applying import Missed, obstacle
from bench.anomaly.folder_record import Options, entry_of, file_sha256, findings_of, read_from
from bench.anomaly.judging import Judged, Task, judge
from bench.anomaly.labelled import KINDS, LabelledImages, read_labelled, same_channels
from bench.anomaly.naming import Budget, is_named, named_detectors, require_budget
from bench.anomaly.pictures import anomalies_figure, histogram_figure, roc_figure
from bench.anomaly.places import RECORD, remove_earlier, require_apart
from bench.anomaly.record import AnomalyRecord, MissedEntry
from bench.destinations import require_writable
from bench.detectors import detector
from bench.devices import device_description, select_device
from bench.errors import InputError, LatentbenchError, UsageError
from bench.extractors import extractor_row
from bench.intake import AuditReport, Size, parse_size, read_images
from bench.plots import figure_png, figure_svg
from bench.record import Identity
from bench.stats import write_atomically
from bench.table_formats import csv_cell

Progress = Callable[[str, int, int], None]  # stage, done, total


@dataclass(frozen=True, kw_only=True)
class FolderResult:
    """The record, and what it was read from."""

    record: AnomalyRecord
    task: Task
    names: tuple[str, ...]
    judged: tuple[Judged, ...]
    failed: tuple[Missed, ...] = ()
    left_out: tuple[Missed, ...] = ()


class _Outcome(NamedTuple):
    judged: tuple[Judged, ...]
    failed: tuple[Missed, ...]
    left_out: tuple[Missed, ...]


def evaluate_folder(
    train: str | Path,
    test: str | Path,
    *,
    detectors: str | Sequence[str],
    labels: str | Path | None = None,
    out: str | Path | None = None,
    extractor: str = "digits",
    options: Options | None = None,
    budget: Budget | None = None,
    resize: str | Size | None = None,
    seed: int = 0,
    device: str | None = None,
    progress: Progress | None = None,
) -> FolderResult:
    """Fit each detector to the normal images of `train` and judge it on the labelled `test`.

    `train` is anything that `score` takes. `test` is a folder with `normal/` and `anomalous/`, or
    anything that `score` takes with `labels`, a CSV of name,label. `detectors` are names of the
    table, "shallow" for those that train no network, "all" for every one; of a group, those that
    these images do not admit are left out. `extractor` is that of detectors on features, `options`
    are for a single detector, `budget` "cpu" shortens the training of networks, `resize` brings
    images of other sizes to WIDTHxHEIGHT. With `out`, the files that this module names are written
    there; it may not lie in what is read.

    Raises `UnknownNameError`, `UsageError`, `InvalidSubmission` with every finding, `InputError`
    for labels or images that do not fit, and what the first detector raised when all failed.
    """
    given = detectors if isinstance(detectors, str) else ",".join(detectors)
    names = named_detectors(given)
    if options and len(names) != 1:
        raise UsageError(f"options are those of one detector, {len(names)} are named")
    given_options = _with_budget(names, options or {}, require_budget(budget))
    extractor_row(extractor)
    device = select_device(device)
    if out is not None:
        require_apart(Path(out), (train, test, labels), names)
        require_writable(Path(out))
    size = resize if isinstance(resize, Size | None) else parse_size(resize)
    normal = read_images(train, resize=size)
    tested = read_labelled(test, labels, resize=size)
    task = _task(normal, tested)
    outcome = _judge_each(
        names,
        task,
        given=given,
        options=given_options,
        extractor=extractor,
        seed=seed,
        device=device,
        progress=progress,
    )
    record = AnomalyRecord(
        created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        train=read_from(normal, train, size),
        test=tuple(read_from(report, report.source, size) for report in tested.reports),
        labels_sha256=None if labels is None else file_sha256(labels),
        code=Identity(name=provenance.version(), digest=provenance.source_digest()),
        seed=seed,
        device=device_description(device),
        libraries=provenance.library_versions(),
        findings=findings_of(normal, tested, task),
        detectors=tuple(entry_of(one, task, extractor, given_options) for one in outcome.judged),
        failed=tuple(MissedEntry(**one._asdict()) for one in outcome.failed),
        left_out=tuple(MissedEntry(**one._asdict()) for one in outcome.left_out),
    )
    result = FolderResult(
        record=record,
        task=task,
        names=tested.names,
        judged=outcome.judged,
        failed=outcome.failed,
        left_out=outcome.left_out,
    )
    if out is not None:
        write_result(result, Path(out))
    return result


def _judge_each(
    names: Sequence[str],
    task: Task,
    *,
    given: str,
    options: Mapping[str, Options],
    extractor: str,
    seed: int,
    device: str,
    progress: Progress | None,
) -> _Outcome:
    """Every detector that the images admit, by itself; `given` is how they were named."""
    judged: list[Judged] = []
    failed: list[Missed] = []
    left_out: list[Missed] = []
    first: LatentbenchError | None = None
    for place, name in enumerate(names):
        if progress is not None:
            progress(f"detector {name}", place, len(names))
        row = detector(name)
        reason = None if is_named(name, given) else obstacle(row, task, extractor)
        if reason is not None:
            left_out.append(Missed(name, reason))
            continue
        try:
            judged.append(
                judge(
                    row,
                    task,
                    seed=seed,
                    device=device,
                    extractor=extractor,
                    options=options[name],
                )
            )
        except LatentbenchError as error:
            failed.append(Missed(name, str(error)))
            first = first or error
    if judged:
        return _Outcome(tuple(judged), tuple(failed), tuple(left_out))
    if first is not None:
        raise first
    told = "; ".join(f"{one.name}: {one.reason}" for one in left_out)
    raise UsageError(f"no detector of {given!r} can be applied: {told}")


def _with_budget(
    names: Sequence[str], options: Options, budget: Budget | None
) -> dict[str, Options]:
    """The options of each detector: those given, and for a network the budget. Raises
    `UsageError` for two budgets.
    """
    if budget is not None and options.get("budget", budget) != budget:
        raise UsageError(f"--budget {budget} and --option budget={options['budget']}: give one")
    found: dict[str, Options] = {}
    for name in names:
        brought = {"budget": budget} if detector(name).trains and budget is not None else {}
        found[name] = {**brought, **options}
    return found


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


def write_result(result: FolderResult, out: Path) -> None:
    """Every file of a result, each whole or not at all. Raises `UsageError` when `out` cannot be
    written.
    """
    try:
        remove_earlier(out, [one.row.name for one in result.judged])
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
        write_atomically(out / RECORD, text.encode())
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
