"""The plan of the one-class benchmark, and the run of the jobs that the ledger lacks.

    run_benchmark(Benchmark(data="mnist", detectors=("knn-pixels", "pca")), ledger, "local:2")

returns rows (`bench.anomaly.benchmark.rows`). A result in the ledger is used again unless it
belongs to other images. A job that failed is reported and left out of the means.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.anomaly.benchmark.jobs import STACKED_WORK, WORK, Cell, cells_of, jobs_of, split
from bench.anomaly.benchmark.provenance import data_digest, key_in
from bench.anomaly.benchmark.rows import Fit, Row, rows_of
from bench.anomaly.choices import BUDGETS, Budget
from bench.anomaly.detectors import DETECTORS
from bench.data.datasets import Dataset
from bench.errors import NothingFoundError, UsageError
from bench.execution.executors.executors import executor_for
from bench.execution.ledger.ledger import Ledger
from bench.execution.scheduling import Event, JobResult, run_jobs
from bench.extractors import extractor_row
from bench.runtime.devices import DEVICE_TYPES
from bench.runtime.terminal import require_writable

DEVICE_STACK = 10
SHARES = (0.0, 0.01, 0.05, 0.10, 0.20)
CONTAMINATIONS = ("none", "lecture", "neighbours", "all")
LECTURE_PAIR = (5, 7)  # normal, mixed in
OTHER_IMAGES = (
    "its result belongs to other images: another run was computing it (run the same "
    "command again), or the workers have other images under the name of the data"
)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What is run. `seeds` are numbers of seeds by detector where they differ from `num_seeds`.
    `pairs` (normal class, contaminant) define the contamination study, which runs with the first
    seed only; without pairs it is left out. Raises `UsageError` for values that cannot be used.
    """

    data: str = "mnist"
    detectors: tuple[str, ...] = ("knn-pixels",)
    num_seeds: int = 3
    seeds: Mapping[str, int] = field(default_factory=dict)
    budget: Budget = "published"
    extractor: str | None = None
    data_root: Path | None = None
    device: str = "cpu"
    stack: int | None = None  # fits of a network as one program; default: 10 on a GPU, else 1
    pairs: tuple[tuple[int, int], ...] = ()
    shares: tuple[float, ...] = SHARES

    def __post_init__(self) -> None:
        if not self.detectors:
            raise UsageError(f"no detector is named; valid: {', '.join(DETECTORS)}")
        if self.budget not in BUDGETS:
            raise UsageError(f"budget {self.budget!r}: expected {' or '.join(BUDGETS)}")
        if self.device.partition(":")[0] not in DEVICE_TYPES:
            raise UsageError(f"device {self.device!r}: expected {' or '.join(DEVICE_TYPES)}")
        if self.stack is not None and self.stack < 1:
            raise UsageError(f"stack {self.stack}: expected 1 or more, or None for the default")
        if self.extractor is not None:
            extractor_row(self.extractor)


class Outcome(NamedTuple):
    """The rows of all finished jobs, and the jobs that failed."""

    rows: list[Row]
    failed: list[JobResult]


def neighbour_pairs(num_classes: int) -> tuple[tuple[int, int], ...]:
    """Return each class with the class two further on mixed in; the pair 5 and 7 of the lecture is
    one of them.
    """
    return tuple((c, (c + 2) % num_classes) for c in range(num_classes))


def all_pairs(num_classes: int) -> tuple[tuple[int, int], ...]:
    """Return every ordered pair of classes."""
    return tuple(itertools.permutations(range(num_classes), 2))


def named_pairs(name: str, plan: Benchmark) -> tuple[tuple[int, int], ...]:
    """Return the pairs (normal class, mixed-in class) that a name of `CONTAMINATIONS` stands for.

    Raises `UsageError` for another name.
    """
    if name not in CONTAMINATIONS:
        raise UsageError(
            f"--contamination {name or repr('')}: expected {', '.join(CONTAMINATIONS)}"
        )
    if name == "none":
        return ()
    if name == "lecture":
        return (LECTURE_PAIR,)
    pairs = neighbour_pairs if name == "neighbours" else all_pairs
    return pairs(number_of_classes(plan))


def benchmark_cells(plan: Benchmark) -> tuple[list[Cell], list[Cell]]:
    """Return the cells of the benchmark and of the contamination study. Raises `UsageError`."""
    seeds = {name: plan.seeds.get(name, plan.num_seeds) for name in plan.detectors}
    for count in seeds.values():
        if count < 1:
            raise UsageError(f"{count} seeds: expected 1 or more")
    num_classes = number_of_classes(plan)
    plain = cells_of(
        plan.data,
        plan.detectors,
        num_classes=num_classes,
        seeds=seeds,
        budget=plan.budget,
        extractor=plan.extractor,
    )
    for pair in plan.pairs:
        if not all(0 <= c < num_classes for c in pair) or pair[0] == pair[1]:
            raise UsageError(f"pair {pair}: expected two classes of 0 to {num_classes - 1}")
    first = {(c.detector, c.normal_class): c for c in plain if c.seed == 0}
    mixed = [
        _mixed(first[name, normal], contaminant, share)
        for name in plan.detectors
        for normal, contaminant in plan.pairs
        for share in plan.shares
    ]
    return plain, mixed


def _mixed(cell: Cell, contaminant: int, share: float) -> Cell:
    if not 0 <= share < 1:
        raise UsageError(f"share {share}: expected at least 0 and less than 1")
    return Cell(**{**vars(cell), "contaminant": contaminant, "share": share})


def number_of_classes(plan: Benchmark) -> int:
    """Return the number of classes of the test split. Raises what `load_dataset` raises, and
    `UsageError` for a single class.
    """
    found = len(np.unique(_splits(plan)[1].labels))
    if found < 2:
        raise UsageError(f"{plan.data}: one class only; a benchmark needs normal and anomalous")
    return found


def run_benchmark(
    plan: Benchmark,
    ledger: Ledger,
    executor: str = "local",
    *,
    on_event: Callable[[Event], None] | None = None,
) -> Outcome:
    """Run the jobs that the ledger lacks, and return the rows of all finished jobs. Raises
    `UsageError`, and `NothingFoundError` when no job is finished.
    """
    plain, mixed = benchmark_cells(plan)
    require_writable(ledger.root, "finished fits")
    train, test = _splits(plan)
    digest = data_digest(train, test)
    cells = {key_in(ledger, cell.key, digest): cell for cell in [*plain, *mixed]}
    jobs = jobs_of(cells, data_root=plan.data_root, device=plan.device)
    with executor_for(executor) as workers:
        results = run_jobs(
            jobs,
            WORK,
            ledger,
            workers,
            work_many=STACKED_WORK,
            stack=plan.stack or (DEVICE_STACK if plan.device.startswith("cuda") else 1),
            on_event=on_event,
        )
    results = tuple(_of_these(result, digest) for result in results)
    done = {result.key: result for result in results if result.state == "done"}
    if not done:
        first = next(iter(results))
        raise NothingFoundError(f"no job of {len(results)} is done; {first.label}: {first.message}")
    failed = [result for result in results if result.state != "done"]
    fits = [
        Fit(cell, dict(done[key].values or {}), ledger.work_folder(key))
        for key, cell in cells.items()
        if key in done
    ]
    return Outcome(rows_of(fits, test.labels, pairs=plan.pairs), failed)


def _of_these(result: JobResult, digest: str) -> JobResult:
    """Return a result, or a failure when another run has stored a result of other images in the
    meantime.
    """
    found = (result.values or {}).get("data_digest", digest)
    if result.state != "done" or found == digest:
        return result
    return result._replace(state="failed", values=None, message=OTHER_IMAGES, cause="data")


def _splits(plan: Benchmark) -> tuple[Dataset, Dataset]:
    """Return the train and the test split."""
    root = None if plan.data_root is None else str(plan.data_root)
    return split(plan.data, "train", root), split(plan.data, "test", root)
