"""`run_ablation`: run a plan on an executor, and analyse its results.

from baselines.ablation.design.plan import read_plan
from baselines.ablation.run.run_ablation import run_ablation

ablation = run_ablation(read_plan(Path("plan.toml")), Path("ledger"), executor="local:4")
ablation.analysis.sentences, ablation.analysis.final
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from baselines.ablation.analysis.analyse import Analysis, analyse
from baselines.ablation.analysis.results import RunResult
from baselines.ablation.design.cells import make_runs
from baselines.ablation.design.plan import AblationPlan
from baselines.ablation.run.checks import require_all_runnable
from baselines.ablation.run.plan_jobs import (
    STACKED_WORK,
    WORK,
    cell_of,
    jobs_of,
    results_of,
)
from baselines.ablation.run.training_jobs import Surroundings
from bench.execution.executors.executors import executor_for
from bench.execution.ledger.ledger import Ledger
from bench.execution.ledger.work import Job
from bench.execution.scheduling import Event, JobResult, run_jobs
from bench.runtime.devices import select_device


class Ablation(NamedTuple):
    """The results of a plan. `analysis` is None if no run has a result; `failed` runs have none."""

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
    """Run what the ledger does not have yet, and analyse all results.

    `executor` is described in `bench.execution.executors.executors`; the default is one process for
    each core, or one on a GPU. `stack` runs of one group train as one program; the default is
    `default_stack`. `timeout_s` limits each run, in seconds. `on_begin` is called before the first
    run, when the plan has passed all checks.

    Raises `UsageError` for a plan that cannot be run, before anything is written, and what
    `run_jobs` raises.
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
    """Return one process for a GPU, which a stack fills, and one for each core otherwise."""
    return "local:1" if device.startswith("cuda") else "local"


def default_stack(jobs: list[Job], device: str, executor: str | None = None) -> int:
    """Return how many runs train as one program: on a CPU one, as a stack is no faster; on a GPU
    the largest group; on a cluster, which may have several GPUs, the seeds of one cell.
    """
    if not device.startswith("cuda"):
        return 1
    groups = Counter(job.group for job in jobs)
    if (executor or "local").startswith("local"):
        return max(groups.values(), default=1)
    cells = Counter((job.group, cell_of(job)) for job in jobs)
    return max(cells.values(), default=1)
