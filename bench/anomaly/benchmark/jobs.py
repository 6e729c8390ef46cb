"""The one-class benchmark as jobs: one class of a data set is normal, and all others are anomalies.

Ruff et al. (ICML 2018): a detector is fitted to the images of one class of the train split and
judged on the whole test split. A contaminated job mixes unmarked images of one other class into the
training images until they make up the requested share, and judges on the test images of these two
classes. The example of the source lecture has normal class 5 with 7 mixed in.

A job is named by its settings. Its result also records the images, the code and the device that it
came from (`bench.anomaly.benchmark.provenance`). Its scores stay in its folder, so that means over
classes and differences between detectors can be computed image by image.

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
from bench.anomaly.detectors import DETECTORS
from bench.anomaly.detectors.code import detector_code
from bench.anomaly.fit_and_judge import Judged, Task, judge_stack
from bench.data.datasets import Dataset, load_dataset
from bench.errors import InputError, UsageError
from bench.execution.ledger.work import Job, WorkContext
from bench.runtime.devices import device_description
from bench.runtime.npz import arrays_to_bytes
from bench.runtime.whole_files import write_atomically

PROTOCOL = 1  # increased when the meaning of the numbers of a job changes
SCORES = "scores.npz"
DEFAULT_EXTRACTORS = {"mnist": "digits", "fashion-mnist": "fashion"}
WORK = "bench.anomaly.benchmark.jobs:do_cell"
STACKED_WORK = "bench.anomaly.benchmark.jobs:do_cells"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One detector fitted to one class. A `share` of the training images is of the class
    `contaminant`, which is None for a pure training set.
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
        """Return the name of the job: SHA-256 of all its settings. The images behind the name of
        the data set and the code of the detector are not part of it; see
        `bench.anomaly.benchmark.provenance`.
        """
        text = json.dumps({**asdict(self), "protocol": PROTOCOL}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class Scores(NamedTuple):
    """The scores that a job left: `rows` int64 M of the test split, `scores` float64 M."""

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
    """Return a cell for every class, detector and seed. `seeds` gives the number of seeds by
    detector; a deterministic detector has one.

    Raises `UnknownNameError` for a detector, and `UsageError` where a data set has no extractor of
    its own and none is given.
    """
    found = []
    for name in detectors:
        row = DETECTORS.find(name)
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
    """Return the jobs of the cells by name. The name depends neither on where the data set is
    stored nor on the device.
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
    return DETECTORS.find(cell.detector).trains


@functools.lru_cache(maxsize=4)
def split(data: str, name: str, data_root: str | None) -> Dataset:
    """Return a split with labels. A process reads it once."""
    return load_dataset(data, name, data_root=None if data_root is None else Path(data_root))


def training_rows(labels: NDArray[np.int64], cell: Cell) -> NDArray[np.int64]:
    """Return rows of the train split: all images of the normal class, and random images of the
    contaminant that make up its share. Raises `InputError` when there are too few of them.
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
    """Return the rows of the test split that are judged: all of them, or those of the two "
    "classes.
    """
    if cell.contaminant is None:
        return np.arange(len(labels))
    return np.flatnonzero((labels == cell.normal_class) | (labels == cell.contaminant))


def task_of(cell: Cell, data_root: str | None) -> tuple[Task, NDArray[np.int64]]:
    """Return the images that the cell's detector learns from and is judged on, and the test rows of
    the latter.
    """
    train, test = (split(cell.data, name, data_root) for name in ("train", "test"))
    rows = test_rows(test.labels, cell)
    task = Task(
        normal=train.images[training_rows(train.labels, cell)],
        images=test.images[rows],
        labels=(test.labels[rows] != cell.normal_class).astype(np.int64),
    )
    return task, rows


def do_cell(payload: Mapping[str, Any], context: WorkContext) -> dict[str, Any]:
    """Fit and judge one cell. Return its numbers, and write its scores to the folder of the job."""
    return do_cells([payload], [context])[0]


def do_cells(
    payloads: Sequence[Mapping[str, Any]], contexts: Sequence[WorkContext]
) -> list[dict[str, Any]]:
    """Fit and judge the cells of one group, as one program where the detector supports it."""
    cells = []
    for payload in payloads:
        values = dict(payload)
        data_root, device = values.pop("data_root"), values.pop("device")
        cells.append(Cell(**values))
    row = DETECTORS.find(cells[0].detector)
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
