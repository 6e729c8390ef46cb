"""The one-class benchmark: run its jobs, and turn the ledger into rows.

    run_benchmark(Benchmark(data="mnist", detectors=("knn-pixels", "pca")), ledger, "local:2")

gives rows, one JSON object each: of kind "class" for every detector, class and seed, "mean" for
every detector, "pair" for every two detectors, "contamination" for every share. What is in the
ledger is not run again; a job that failed is told and left out of the means.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.anomaly.combining import FitInfluence, MeanAuc, difference, influence, mean_auc
from bench.anomaly.one_class import (
    STACKED_WORK,
    WORK,
    Budget,
    Cell,
    cells_of,
    jobs_of,
    read_scores,
    split,
)
from bench.detectors import all_detectors, detector
from bench.devices import device_description
from bench.errors import NothingFoundError, UsageError
from bench.execution.executors import executor_for
from bench.execution.ledger import Ledger
from bench.execution.scheduling import Event, JobResult, run_jobs
from bench.uncertainty import holm

Row = dict[str, Any]
DEVICE_STACK = 10
SHARES = (0.0, 0.01, 0.05, 0.10, 0.20)
LECTURE_PAIR = (5, 7)  # normal, mixed in
GROUPS = {"all": None, "shallow": False, "network": True}  # by whether a network is trained


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What is run. `pairs` are (normal class, contaminant) of the contamination study, none of
    which leaves it out; it has one seed, the first.
    """

    data: str = "mnist"
    detectors: tuple[str, ...] = ("knn-pixels",)
    num_seeds: int = 3
    budget: Budget = "published"
    extractor: str | None = None
    data_root: Path | None = None
    device: str = "cpu"
    stack: int | None = None  # fits of a network as one program; default: 10 on a GPU, else 1
    pairs: tuple[tuple[int, int], ...] = ()
    shares: tuple[float, ...] = SHARES


class Outcome(NamedTuple):
    """Rows of everything that is done, and the jobs that are not."""

    rows: list[Row]
    failed: list[JobResult]


def named_detectors(text: str) -> tuple[str, ...]:
    """Detectors by name with commas, or one of the groups. Raises `UnknownNameError`."""
    found: list[str] = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        if name not in GROUPS:
            found.append(detector(name).name)
            continue
        wanted = GROUPS[name]
        found += [n for n in all_detectors() if wanted is None or detector(n).trains == wanted]
    if not found:
        raise UsageError(
            f"no detector is named; valid: {', '.join(all_detectors())}; {', '.join(GROUPS)}"
        )
    return tuple(dict.fromkeys(found))


def neighbour_pairs(num_classes: int) -> tuple[tuple[int, int], ...]:
    """Each class with the second next one mixed in; the lecture's 5 and 7 among them."""
    return tuple((c, (c + 2) % num_classes) for c in range(num_classes))


def all_pairs(num_classes: int) -> tuple[tuple[int, int], ...]:
    """Every ordered pair of classes."""
    return tuple(itertools.permutations(range(num_classes), 2))


def benchmark_cells(plan: Benchmark) -> tuple[list[Cell], list[Cell]]:
    """The cells of the benchmark and of the contamination study. Raises `UsageError`."""
    if plan.num_seeds < 1:
        raise UsageError(f"{plan.num_seeds} seeds: expected 1 or more")
    num_classes = number_of_classes(plan)
    plain = cells_of(
        plan.data,
        plan.detectors,
        num_classes=num_classes,
        seeds=range(plan.num_seeds),
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
    """Classes of the test split. Raises what `load_dataset` raises, `UsageError` for one class."""
    found = len(np.unique(_test_labels(plan)))
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
    """Run what the ledger lacks; gives rows of everything that is done. Raises `UsageError`, and
    `NothingFoundError` when no job is done.
    """
    plain, mixed = benchmark_cells(plan)
    jobs = jobs_of([*plain, *mixed], data_root=plan.data_root, device=plan.device)
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
    done = {result.key: result for result in results if result.state == "done"}
    if not done:
        first = next(iter(results))
        raise NothingFoundError(f"no job of {len(results)} is done; {first.label}: {first.message}")
    failed = [result for result in results if result.state != "done"]
    return Outcome(rows_of(plan, ledger, done, plain, mixed), failed)


def rows_of(
    plan: Benchmark,
    ledger: Ledger,
    done: dict[str, JobResult],
    plain: Sequence[Cell],
    mixed: Sequence[Cell],
) -> list[Row]:
    """The rows of what is done."""
    rows = [_cell_row("class", cell, done[cell.key], plan) for cell in plain if cell.key in done]
    rows += [
        _cell_row("contamination", cell, done[cell.key], plan) for cell in mixed if cell.key in done
    ]
    means = _means(plan, ledger, [cell for cell in plain if cell.key in done])
    for name, mean in means.items():
        own = [r for r in rows if (r["kind"], r["detector"]) == ("class", name)]
        rows.append(_mean_row(name, mean, own, plan))
    return rows + _pair_rows(means, plan)


def _test_labels(plan: Benchmark) -> Any:
    root = None if plan.data_root is None else str(plan.data_root)
    return split(plan.data, "test", root).labels


def _means(plan: Benchmark, ledger: Ledger, cells: Sequence[Cell]) -> dict[str, MeanAuc]:
    """Of the detectors with every class, over the seeds that have every class."""
    labels = _test_labels(plan)
    fits: dict[str, dict[tuple[int, int], FitInfluence]] = {}
    for cell in cells:
        found = read_scores(ledger.work_folder(cell.key))
        anomalous = (labels != cell.normal_class).astype(np.int64)
        own = fits.setdefault(cell.detector, {})
        own[cell.normal_class, cell.seed] = influence(found, anomalous)
    num_classes = number_of_classes(plan)
    means = {}
    for name, own in fits.items():
        seeds = {seed for _, seed in own}
        whole = {s for s in seeds if all((c, s) in own for c in range(num_classes))}
        kept = {place: fit for place, fit in own.items() if place[1] in whole}
        if kept:
            means[name] = mean_auc(kept)
    return means


def _about(plan: Benchmark, name: str) -> Row:
    row = detector(name)
    return {
        "data": plan.data,
        "detector": name,
        "title": row.title,
        "source": row.source,
        "labels": row.labels,
        "trains": row.trains,
        "budget": plan.budget if row.trains else "published",
        "device": device_description(plan.device),
    }


def _cell_row(kind: str, cell: Cell, result: JobResult, plan: Benchmark) -> Row:
    about = {
        "normal_class": cell.normal_class,
        "seed": cell.seed,
        "extractor": cell.extractor,
        "contaminant": cell.contaminant,
        "share": cell.share,
    }
    return {"kind": kind, **_about(plan, cell.detector), **about, **(result.values or {})}


def _mean_row(name: str, mean: MeanAuc, own: Sequence[Row], plan: Benchmark) -> Row:
    def over_fits(key: str) -> float:
        return float(np.mean([row[key] for row in own if row["seed"] in mean.seeds]))

    return {
        "kind": "mean",
        **_about(plan, name),
        "auc": mean.auc,
        "standard_error": mean.standard_error,
        "low": mean.low,
        "high": mean.high,
        "seed_sd": mean.seed_sd,
        "num_seeds": len(mean.seeds),
        "num_classes": mean.num_classes,
        "average_precision": over_fits("average_precision"),
        "fpr_at_95_tpr": over_fits("fpr_at_95_tpr"),
        "fit_s": over_fits("fit_s"),
        "score_s": over_fits("score_s"),
    }


def _pair_rows(means: dict[str, MeanAuc], plan: Benchmark) -> list[Row]:
    """Every two detectors, the better one second; p-values adjusted for their number."""
    ordered = sorted(means, key=lambda name: means[name].auc)
    pairs = list(itertools.combinations(ordered, 2))
    found = [difference(means[first], means[second]) for first, second in pairs]
    adjusted = holm([one.p_value for one in found])
    return [
        {
            "kind": "pair",
            "data": plan.data,
            "first": first,
            "second": second,
            "estimate": one.estimate,
            "low": one.low,
            "high": one.high,
            "p_value": one.p_value,
            "p_adjusted": p,
        }
        for (first, second), one, p in zip(pairs, found, adjusted, strict=True)
    ]
