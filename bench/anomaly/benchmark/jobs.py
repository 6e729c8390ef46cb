"""The one-class benchmark as jobs: one class of a data set is normal, all others are anomalies.

Ruff et al. (ICML 2018): fit on the images of one class of the train split, judge on the whole
test split. A contaminated job mixes images of one other class into the training images, unseen
and unmarked, until they make up the share that is asked for, and is judged on the test images of
these two classes (normal 5 with 7 mixed in is the example of the lecture).

A job is named by its settings, and its result says what else it was made of (`origin`). Its
scores stay in its folder, so that means over classes and differences of detectors can be judged
image by image.

Shape legend: N normal images, M judged ones of T test images.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.anomaly.benchmark.provenance import data_digest
from bench.anomaly.choices import Budget
from bench.anomaly.detectors import detector
from bench.anomaly.detectors.code import detector_code
from bench.anomaly.fit_and_judge import Judged, Task, judge_stack
from bench.data.datasets import Dataset, load_dataset
from bench.errors import InputError, UsageError
from bench.execution.ledger.work import Job, WorkContext
from bench.runtime.devices import device_description
from bench.runtime.whole_files import arrays_to_bytes, write_atomically

PROTOCOL = 1  # raised when the numbers of a job come to mean something else
SCORES = "scores.npz"
DEFAULT_EXTRACTORS = {"mnist": "digits", "fashion-mnist": "fashion"}
WORK = "bench.anomaly.benchmark.jobs:do_cell"
STACKED_WORK = "bench.anomaly.benchmark.jobs:do_cells"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One detector fitted to one class. `contaminant` is the class of which `share` of the
    training images are, None for a pure training set.
    """

    data: str
    detector: str
    normal_class: int
    seed: int
    extractor: str
    budget: Budget
    contaminant: int | None = None
    share: float = 0.0

    @property
    def label(self) -> str:
        mixed = "" if self.contaminant is None else f"+{self.share:.0%} {self.contaminant}"
        return f"{self.data} {self.detector} {self.normal_class}{mixed} seed {self.seed}"

    @property
    def key(self) -> str:
        """The name of its job: SHA-256 of all of its settings. Not in it: the images behind the
        name of the data and the code of the detector; see `bench.anomaly.benchmark.provenance`.
        """
        text = json.dumps({**asdict(self), "protocol": PROTOCOL}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class Scores(NamedTuple):
    """What a job left: `rows` int64 M of the test split, `scores` float64 M."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]


def cells_of(
    data: str,
    detectors: Iterable[str],
    *,
    num_classes: int,
    seeds: Mapping[str, int],
    budget: Budget,
    extractor: str | None = None,
) -> list[Cell]:
    """Every class with every detector and seed, `seeds` by detector; one without chance has one.

    Raises `UnknownNameError` for a detector, `UsageError` where a data set has no extractor of
    its own and none is given.
    """
    found = []
    for name in detectors:
        row = detector(name)
        chosen = extractor or DEFAULT_EXTRACTORS.get(data)
        if row.reads == "features" and chosen is None:
            raise UsageError(f"detector {name!r} on {data}: choose its features by --extractor")
        own_seeds = range(seeds[name]) if row.seeded else [0]
        found += [
            Cell(
                data=data,
                detector=name,
                normal_class=normal_class,
                seed=seed,
                extractor=chosen if row.reads == "features" and chosen else "",
                budget=budget if row.trains else "published",
            )
            for normal_class in range(num_classes)
            for seed in own_seeds
        ]
    return found


def jobs_of(cells: Mapping[str, Cell], *, data_root: Path | None, device: str) -> list[Job]:
    """The jobs of cells by the name of their job; where the data lie and what computes does not
    name a job.
    """
    place = {"data_root": None if data_root is None else str(data_root), "device": device}
    return [
        Job(
            key=key,
            label=cell.label,
            payload={**asdict(cell), **place},
            group=f"{cell.data} {cell.detector} {cell.budget}" if _trains(cell) else None,
            cost=100.0 if _trains(cell) else 1.0,
        )
        for key, cell in cells.items()
    ]


def _trains(cell: Cell) -> bool:
    return detector(cell.detector).trains


@functools.lru_cache(maxsize=4)
def split(data: str, name: str, data_root: str | None) -> Dataset:
    """A split with labels, read once in a process."""
    return load_dataset(data, name, data_root=None if data_root is None else Path(data_root))


def training_rows(labels: NDArray[np.int64], cell: Cell) -> NDArray[np.int64]:
    """Rows of the train split: all of the normal class, and as many of the contaminant, drawn by
    the seed, as make up its share. Raises `InputError` where there are too few.
    """
    normal = np.flatnonzero(labels == cell.normal_class)
    if not len(normal):
        raise InputError(f"{cell.data}: no training images of class {cell.normal_class}")
    if cell.contaminant is None:
        return normal
    others = np.flatnonzero(labels == cell.contaminant)
    wanted = round(cell.share / (1 - cell.share) * len(normal))
    if wanted > len(others):
        raise InputError(
            f"{cell.data}: {cell.share:.0%} of class {cell.contaminant} beside {len(normal)} "
            f"images of class {cell.normal_class} are {wanted}, and there are {len(others)}"
        )
    rng = np.random.default_rng([cell.seed, cell.normal_class, cell.contaminant])
    return np.sort(np.concatenate([normal, rng.permutation(others)[:wanted]]))


def test_rows(labels: NDArray[np.int64], cell: Cell) -> NDArray[np.int64]:
    """Rows of the test split that are judged: all, or those of the two classes."""
    if cell.contaminant is None:
        return np.arange(len(labels))
    return np.flatnonzero((labels == cell.normal_class) | (labels == cell.contaminant))


def task_of(cell: Cell, data_root: str | None) -> tuple[Task, NDArray[np.int64]]:
    """What the cell's detector learns from and is judged on, and the test rows of the latter."""
    train, test = (split(cell.data, name, data_root) for name in ("train", "test"))
    rows = test_rows(test.labels, cell)
    task = Task(
        normal=train.images[training_rows(train.labels, cell)],
        images=test.images[rows],
        labels=(test.labels[rows] != cell.normal_class).astype(np.int64),
    )
    return task, rows


def do_cell(payload: Mapping[str, Any], context: WorkContext) -> dict[str, Any]:
    """The work of a job: numbers to keep, and the scores in the job's folder."""
    return do_cells([payload], [context])[0]


def do_cells(
    payloads: Sequence[Mapping[str, Any]], contexts: Sequence[WorkContext]
) -> list[dict[str, Any]]:
    """The work of jobs of one group, fitted as one program where the detector can be."""
    cells = []
    for payload in payloads:
        values = dict(payload)
        data_root, device = values.pop("data_root"), values.pop("device")
        cells.append(Cell(**values))
    row = detector(cells[0].detector)
    tasks = [task_of(cell, data_root) for cell in cells]
    found = judge_stack(
        row,
        [task for task, _ in tasks],
        seeds=[cell.seed for cell in cells],
        device=device,
        extractor=cells[0].extractor,
        options={"budget": cells[0].budget} if row.trains else {},
    )
    for judged, (_, rows), context in zip(found, tasks, contexts, strict=True):
        kept = arrays_to_bytes({"rows": rows[judged.rows], "scores": judged.scores})
        write_atomically(context.folder / SCORES, kept)
    splits = [split(cells[0].data, name, data_root) for name in ("train", "test")]
    origin = {
        "data_digest": data_digest(*splits),
        "device": device_description(device),
        "budget": cells[0].budget,
        "extractor": cells[0].extractor,
        "code": detector_code(row, cells[0].extractor or None),
    }
    return [
        {**_numbers(judged, len(task.normal)), **origin, "options": judged.options}
        for judged, (task, _) in zip(found, tasks, strict=True)
    ]


def _numbers(judged: Judged, num_normal: int) -> dict[str, Any]:
    found = judged.numbers
    interval = found.interval
    return {
        "auc": found.auc,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "average_precision": found.average_precision,
        "fpr_at_95_tpr": found.fpr_at_95_tpr,
        "num_train": num_normal,
        "num_normal": found.num_normal,
        "num_anomalous": found.num_anomalous,
        "fit_s": judged.fit_s,
        "score_s": judged.score_s,
    }
