"""`latentbench anomaly --data`: run the one-class benchmark of a data set and print its results."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bench.errors import EXIT_INVALID

if TYPE_CHECKING:
    from bench.anomaly.benchmark.rows import Row
    from bench.execution.scheduling import Event, JobResult
    from bench.runtime.progress import Report

STAGE = "evaluate detectors"


def run(
    data: str,
    *,
    detectors: str,
    num_seeds: str,
    executor: str,
    budget: str | None,
    contamination: str,
    extractor: str | None,
    data_root: Path | None,
    device: str | None,
    ledger: Path,
    out: Path,
    json_lines: bool,
    quiet: bool,
) -> None:
    """Run or resume the benchmark, write its records and page, print the means.

    Exits with code 1 if a job failed.
    """
    from bench.anomaly.benchmark.page import render_benchmark
    from bench.anomaly.benchmark.plan import (
        Benchmark,
        benchmark_cells,
        named_pairs,
        run_benchmark,
    )
    from bench.anomaly.benchmark.provenance import origin_lines
    from bench.anomaly.benchmark.records_file import RECORDS, keep_rows, read_rows
    from bench.anomaly.choices import named_detectors, require_budget, seed_counts, unloadable_in
    from bench.execution.executors.executors import executor_for
    from bench.execution.ledger.ledger import Ledger
    from bench.runtime.devices import select_device
    from bench.runtime.progress import progress_report
    from bench.runtime.terminal import require_writable

    place = select_device(device)
    names = named_detectors(detectors)
    plan = Benchmark(
        data=data,
        detectors=names,
        seeds=seed_counts(num_seeds, names),
        budget=require_budget(budget) or ("cpu" if place == "cpu" else "published"),
        extractor=extractor,
        data_root=data_root,
        device=place,
    )
    plan = Benchmark(**{**vars(plan), "pairs": named_pairs(contamination, plan)})
    benchmark_cells(plan)  # raises what is wrong with the plan before anything runs
    executor_for(executor)
    read_rows(out / RECORDS)
    require_writable(out)
    for one in unloadable_in(detectors):
        sys.stderr.write(f"latentbench: {one.name} omitted: {one.reason}\n")
    with progress_report(quiet=quiet) as progress:
        outcome = run_benchmark(plan, Ledger(ledger), executor, on_event=_reporter(progress))
    command = f"latentbench anomaly --data {data} --detectors {detectors} --num-seeds {num_seeds}"
    command += "" if budget is None else f" --budget {budget}"
    command += "" if extractor is None else f" --extractor {extractor}"
    command += "" if contamination == "none" else f" --contamination {contamination}"
    made = {"kind": "run", "data": data, "command": command}
    keep_rows(out / RECORDS, [made, *outcome.rows])
    page = render_benchmark(out)
    if json_lines:
        sys.stdout.writelines(json.dumps(row) + "\n" for row in outcome.rows)
    else:
        _print([row for row in outcome.rows if row["kind"] == "mean"], data)
        sys.stdout.write(f"written: {page}, {out / RECORDS}\n")
    fits = [row for row in outcome.rows if row["kind"] in ("class", "contamination")]
    for line in origin_lines(fits):
        sys.stderr.write(f"latentbench: {line.replace('`', '')}\n")
    _print_failed(outcome.failed)
    if outcome.failed:
        raise typer.Exit(EXIT_INVALID)


def _reporter(progress: Report) -> Callable[[Event], None]:
    """Return the listener that shows progress and prints what needs attention."""

    def report(event: Event) -> None:
        progress(STAGE, event.finished, event.total, note=event.label)
        if event.kind in ("retried", "corrupt", "stopping"):
            sys.stderr.write(f"latentbench: {event.label}: {event.kind}: {event.message}\n")

    return report


def _print(means: list[Row], data: str) -> None:
    from bench.anomaly.benchmark.published import published_for
    from bench.anomaly.choices import variant
    from bench.tables.console import print_rows

    rows = []
    for row in sorted(means, key=lambda row: -row["auc"]):
        marks = published_for(data, row["detector"])
        rows.append(
            [
                variant(row["detector"], row["budget"], row["extractor"]),
                f"{100 * row['auc']:.2f}",
                f"{100 * row['low']:.2f} to {100 * row['high']:.2f}",
                f"{100 * row['average_precision']:.1f}",
                f"{100 * row['fpr_at_95_tpr']:.1f}",
                str(row["num_seeds"]),
                f"{row['fit_s'] + row['score_s']:.3g}",
                ", ".join(f"{mark.auc_percent:.1f}" for mark in marks),
                row["seen"],
            ]
        )
    columns = ["detector", "mean AUC", "95 % interval", "AP", "FPR", "seeds", "s a class"]
    print_rows([*columns, "published", "has seen"], rows)


def _print_failed(failed: list[JobResult]) -> None:
    for result in failed:
        sys.stderr.write(f"latentbench: {result.label} failed: {result.message}\n")
