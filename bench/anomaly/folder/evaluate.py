"""Anomaly detectors on a labelled folder: fitted to normal images, judged on labelled ones.

    bench.evaluate_folder("normal/", "test/", detectors=["pca", "knn-pixels"], out="found/")

`out` then holds `record.json`, `roc.svg`, and for each detector a folder with `scores.csv` (name,
label, score, rank; rank 1 is the most anomalous, equal scores share the better rank),
`histogram.svg` and `most-anomalous.png`. Results of detectors that an earlier run left there, and
that this run does not have, are removed. A detector that fails is reported and the others are
judged.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from bench.anomaly.choices import (
    Budget,
    is_named,
    named_detectors,
    require_budget,
    unloadable_in,
)
from bench.anomaly.detectors import DETECTORS, DetectorRow
from bench.anomaly.detectors.failures import failures_named
from bench.anomaly.fit_and_judge import Judged, Task, judge
from bench.anomaly.folder.applicable import Missed, obstacle
from bench.anomaly.folder.entries import Options, entry_of, file_sha256, findings_of, read_from
from bench.anomaly.folder.files import Files, files_of, write_files
from bench.anomaly.folder.labels import LabelledImages, read_labelled, same_channels
from bench.anomaly.folder.output_folder import folder_for_results, require_apart
from bench.anomaly.folder.record import AnomalyRecord, DetectorEntry, MissedEntry
from bench.anomaly.threshold import split_normal
from bench.errors import InputError, UsageError
from bench.extractors import extractor_row
from bench.intake import AuditReport, Size, parse_size, read_images, sanitise
from bench.records.score_record import Identity
from bench.runtime import provenance
from bench.runtime.code_digest import code_digest
from bench.runtime.devices import device_description, select_device
from bench.runtime.failures import failure_line
from bench.runtime.progress import Progress

MAX_SEED = 2**32 - 1
# Not in the digest of a record's code: what writes files, and the table of detectors, since each
# entry has the digest of its own detector.
_WITHOUT = frozenset(
    {
        "bench.anomaly.detectors",
        "bench.anomaly.folder.files",
        "bench.anomaly.folder.output_folder",
    }
)


@dataclass(frozen=True, kw_only=True)
class FolderResult:
    """The record, and the images it is about."""

    record: AnomalyRecord
    task: Task
    names: tuple[str, ...]
    judged: tuple[Judged, ...]
    failed: tuple[Missed, ...] = ()
    left_out: tuple[Missed, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Each:
    """What every detector receives. `given` is how the detectors were named, `images` are the names
    of the labelled images (None when no files are wanted), `options` are by detector.
    """

    names: tuple[str, ...]
    given: str
    task: Task
    images: tuple[str, ...] | None
    options: Mapping[str, Options]
    extractor: str
    seed: int
    device: str
    threshold_fpr: float | None = None


class _Done(NamedTuple):
    judged: Judged
    entry: DetectorEntry
    files: Files


class _Outcome(NamedTuple):
    done: tuple[_Done, ...]
    failed: tuple[Missed, ...]
    left_out: tuple[Missed, ...]


EXTRACTOR = "digits"  # of detectors on features


def evaluate_folder(
    train: str | Path,
    test: str | Path,
    *,
    detectors: str | Sequence[str],
    labels: str | Path | None = None,
    out: str | Path | None = None,
    extractor: str = EXTRACTOR,
    options: Options | None = None,
    budget: Budget | None = None,
    resize: str | Size | None = None,
    seed: int = 0,
    device: str | None = None,
    threshold_fpr: float | None = None,
    progress: Progress | None = None,
) -> FolderResult:
    """Fit each detector to the normal images of `train` and judge it on the labelled `test`.

    `train` is anything that `score` takes. `test` is a folder with `normal/` and `anomalous/`, or
    anything that `score` takes together with `labels`, a CSV of name,label. `detectors` are names
    of the table, "shallow" for those that train no network, or "all"; detectors of a group that
    these images do not admit, or that cannot be loaded, are left out. `extractor` belongs to
    detectors on features, `options` to a single detector. `budget` "cpu" shortens the training of
    networks, and `resize` resizes images to WIDTHxHEIGHT. `threshold_fpr` holds out a fifth of the
    normal images and gives a cut-off that at most this share of normal images exceeds. With `out`,
    the files that this module names are written there; it must not lie inside a source.

    Raises `UnknownNameError`, `UsageError`, `InvalidSubmission` with every finding, and
    `InputError` for labels or images that do not fit. When all detectors fail, raises the error of
    the first as a `LatentbenchError`.
    """
    given = detectors if isinstance(detectors, str) else ",".join(detectors)
    names = named_detectors(given)
    if options and len(names) != 1:
        raise UsageError(f"options belong to one detector, and {len(names)} are named")
    given_options = _with_budget(names, options or {}, require_budget(budget))
    if not 0 <= seed <= MAX_SEED:
        raise UsageError(f"seed {seed}: expected 0 to {MAX_SEED:,}")
    extractor_row(extractor)
    words = _words(
        train=train,
        test=test,
        labels=labels,
        detectors=given,
        extractor=None if extractor == EXTRACTOR else extractor,
        budget=budget,
        resize=resize,
        seed=seed or None,
        device=device,
        set=[f"{name}={value}" for name, value in (options or {}).items()],
    )
    device = select_device(device)
    if out is not None:
        require_apart(Path(out), (train, test, labels), names)
    with folder_for_results(None if out is None else Path(out)):
        size = resize if isinstance(resize, Size | None) else parse_size(resize)
        normal = read_images(train, resize=size)
        tested = read_labelled(test, labels, resize=size)
        task = _task(normal, tested)
        if threshold_fpr is not None:
            task = with_held_out(task, threshold_fpr, seed)
        outcome = _judge_each(
            _Each(
                names=names,
                given=given,
                task=task,
                images=None if out is None else tested.names,
                options=given_options,
                extractor=extractor,
                seed=seed,
                device=device,
                threshold_fpr=threshold_fpr,
            ),
            progress,
        )
        record = AnomalyRecord(
            created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            train=read_from(normal, train, size),
            test=tuple(read_from(report, report.source, size) for report in tested.reports),
            labels_sha256=None if labels is None else file_sha256(labels),
            code=Identity(
                name=provenance.version(), digest=code_digest(__name__, without=_WITHOUT)
            ),
            seed=seed,
            options=words,
            device=device_description(device),
            libraries=provenance.library_versions(),
            findings=findings_of(normal, tested, task, [one.judged for one in outcome.done]),
            detectors=tuple(one.entry for one in outcome.done),
            failed=tuple(MissedEntry(**one._asdict()) for one in outcome.failed),
            left_out=tuple(MissedEntry(**one._asdict()) for one in outcome.left_out),
        )
        judged = tuple(one.judged for one in outcome.done)
        if out is not None:
            write_files(Path(out), record, task, judged, [one.files for one in outcome.done])
    return FolderResult(
        record=record,
        task=task,
        names=tested.names,
        judged=judged,
        failed=outcome.failed,
        left_out=outcome.left_out,
    )


def _words(**given: object) -> tuple[str, ...]:
    """Return options as words of the command line, those that are None omitted."""
    words: list[str] = []
    for name, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            text = f"{one.width}x{one.height}" if isinstance(one, Size) else str(one)
            words += [] if one is None else [f"--{name}", sanitise(text, 400)]
    return tuple(words)


def _judge_each(each: _Each, progress: Progress | None) -> _Outcome:
    """Judge every detector that the images admit, independently of the others."""
    done: list[_Done] = []
    failed: list[Missed] = []
    left_out = [Missed(*broken) for broken in unloadable_in(each.given)]
    first: tuple[str, Exception] | None = None
    for place, name in enumerate(each.names):
        if progress is not None:
            progress(f"detector {name}", place, len(each.names))
        row = DETECTORS.find(name)
        reason = None if is_named(name, each.given) else obstacle(row, each.task, each.extractor)
        if reason is not None:
            left_out.append(Missed(name, reason))
            continue
        try:
            done.append(_judge_one(row, each))
        except Exception as error:  # noqa: BLE001  (code of any package)
            failed.append(Missed(name, failure_line(error)))
            first = first or (name, error)
    if done:
        return _Outcome(tuple(done), tuple(failed), tuple(left_out))
    if first is not None:
        with failures_named(first[0]):
            raise first[1]
    reasons = "; ".join(f"{one.name}: {one.reason}" for one in left_out)
    raise UsageError(f"no detector of {each.given!r} can be applied: {reasons}")


def _judge_one(row: DetectorRow, each: _Each) -> _Done:
    """Judge one detector. Raises whatever the detector raises."""
    judged = judge(
        row,
        each.task,
        seed=each.seed,
        device=each.device,
        extractor=each.extractor,
        options=each.options[row.name],
    )
    entry = entry_of(judged, each.task, each.extractor, each.options, each.threshold_fpr)
    files = {} if each.images is None else files_of(judged, each.task, each.images)
    return _Done(judged, entry, files)


def _with_budget(
    names: Sequence[str], options: Options, budget: Budget | None
) -> dict[str, Options]:
    """Return the options of each detector: the given ones, and the budget for a network. Raises
    `UsageError` for two budgets, and for a budget that none of the detectors takes.
    """
    if budget is not None and not any(DETECTORS.find(name).trains for name in names):
        raise UsageError(
            f"--budget {budget}: none of the chosen detectors trains a network "
            f"({', '.join(names)}); leave it out, or choose one that does"
        )
    if budget is not None and options.get("budget", budget) != budget:
        raise UsageError(f"--budget {budget} and --set budget={options['budget']}: give one")
    found: dict[str, Options] = {}
    for name in names:
        brought = {"budget": budget} if DETECTORS.find(name).trains and budget is not None else {}
        found[name] = {**brought, **options}
    return found


def with_held_out(task: Task, fpr: float, seed: int) -> Task:
    """Return the task with a fifth of its normal images held out. Raises as `split_normal`."""
    split = split_normal(len(task.normal), fpr, seed)
    return replace(task, normal=task.normal[split.fitted], held_out=task.normal[split.held_out])


def _task(normal: AuditReport, tested: LabelledImages) -> Task:
    """Return the task. Raises `InputError` when the two sides have different sizes."""
    assert normal.images is not None  # noqa: S101  (read_images gives pixels or raises)
    train, test = same_channels(normal.images.images, tested.images)
    if train.shape[1:3] != test.shape[1:3]:
        raise InputError(
            f"{normal.source}: training images are {train.shape[2]}x{train.shape[1]} px, test "
            f"images {test.shape[2]}x{test.shape[1]} px; bring them to one size: "
            "--resize WIDTHxHEIGHT"
        )
    return Task(normal=train, images=test, labels=tested.labels)
