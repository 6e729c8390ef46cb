"""`run_ablation`: a plan, run wherever work runs, and analysed.

from baselines.ablation.design.plan import read_plan
from baselines.ablation.run.running import run_ablation

ablation = run_ablation(read_plan(Path("plan.toml")), Path("ledger"), executor="local:4")
ablation.analysis.sentences, ablation.analysis.final
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from baselines.ablation.analysis.analysis import Analysis, analyse
from baselines.ablation.analysis.results import RunResult
from baselines.ablation.design.cells import make_runs
from baselines.ablation.design.plan import AblationPlan
from baselines.ablation.run.checks import require_all_runnable
from baselines.ablation.run.jobs import (
    STACKED_WORK,
    WORK,
    Surroundings,
    cell_of,
    jobs_of,
    results_of,
)
from bench.execution.executors.executors import executor_for
from bench.execution.ledger.ledger import Ledger
from bench.execution.ledger.work import Job
from bench.execution.scheduling import Event, JobResult, run_jobs
from bench.runtime.devices import select_device


class Ablation(NamedTuple):
    """What a plan came to. `analysis` is None when no run has a result; `failed` runs have none."""

    analysis: Analysis | None
    results: dict[str, RunResult]
    failed: tuple[JobResult, ...]


def run_ablation(
    plan: AblationPlan,
    ledger: Path,
    *,
    executor: str | None = None,
    stack: int | None = None,
    around: Surroundings | None = None,
    timeout_s: float | None = None,
    max_attempts: int = 3,
    on_begin: Callable[[], None] | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Ablation:
    """Run what the ledger does not have yet, and analyse the whole.

    `executor` as `bench.execution.executors.executors` has it; by default a process for each core,
    on a GPU
    one. `stack` runs of one group train as one program: by default all of a group on a GPU (of a
    cluster: the seeds of a cell) and one on a CPU, where a stack is no faster. `timeout_s` is for
    each run. `on_begin` is called when the plan has been found to be runnable, before the first
    run. Raises `UsageError` before that, and before anything is written, for a plan that cannot be
    run, and what `run_jobs` raises.
    """
    around = around or Surroundings()
    jobs = jobs_of(plan, around)
    device = select_device(around.device)
    book = Ledger(ledger)
    workers = executor_for(executor or default_executor(device), folder=ledger / "logs")
    size = default_stack(jobs, device, executor) if stack is None else stack
    require_all_runnable(jobs)
    if on_begin is not None:
        on_begin()
    with workers:
        outcomes = run_jobs(
            jobs,
            WORK,
            book,
            workers,
            work_many=STACKED_WORK,
            stack=size,
            timeout_s=timeout_s,
            max_attempts=max_attempts,
            on_event=on_event,
        )
    results = results_of(book, make_runs(plan))
    return Ablation(
        analysis=analyse(plan, results) if results else None,
        results=results,
        failed=tuple(one for one in outcomes if one.state == "failed"),
    )


def default_executor(device: str) -> str:
    """One process on a GPU, which a stack fills; one for each core elsewhere."""
    return "local:1" if device.startswith("cuda") else "local"


def default_stack(jobs: list[Job], device: str, executor: str | None = None) -> int:
    """On a GPU all runs of the largest group, or, where a cluster may have several, about those of
    one cell; one on a CPU.
    """
    if not device.startswith("cuda"):
        return 1
    groups = Counter(job.group for job in jobs)
    if (executor or "local").startswith("local"):
        return max(groups.values(), default=1)
    cells = Counter((job.group, cell_of(job)) for job in jobs)
    return max(cells.values(), default=1)
