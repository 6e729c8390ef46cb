"""submitit's own stand-ins for Slurm: its debug and local executors, and pre-emption by the signal
that Slurm sends. The array script runs under bash as Slurm would start it.
"""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest
from submitit.local.local import LocalJob, LocalJobEnvironment

from bench.errors import NothingFoundError, UsageError
from bench.execution.executors.executors import executor_for
from bench.execution.executors.slurm import SubmititWorkers
from bench.execution.executors.slurm_array import emit_slurm
from bench.execution.executors.workers import Workers
from bench.execution.ledger.ledger import Ledger
from bench.execution.ledger.work import Job
from bench.execution.scheduling import JobResult, run_jobs
from tests.execution import works
from tests.execution.conftest import ROOT, calls, plan, wait_until


def test_submitits_debug_executor(ledger: Ledger, trace: Path, tmp_path: Path) -> None:
    with executor_for("submitit-debug", folder=tmp_path / "logs") as workers:
        results = run_jobs(plan(trace), works.square, ledger, workers)
    assert [result.values for result in results] == [{"square": n * n} for n in range(3)]
    (attempt,) = ledger.entry("k0").attempts
    assert (attempt.executor, attempt.pid) == ("submitit-debug", os.getpid())


def in_background(
    ledger: Ledger, workers: Workers, jobs: list[Job], work: str
) -> tuple[threading.Thread, list[JobResult]]:
    """run_jobs in a thread, so that the test can meddle."""
    results: list[JobResult] = []
    name = f"tests.execution.works:{work}"
    thread = threading.Thread(target=lambda: results.extend(run_jobs(jobs, name, ledger, workers)))
    thread.start()
    return thread, results


def test_preemption_starts_the_job_anew(ledger: Ledger, trace: Path, tmp_path: Path) -> None:
    """The task gets the signal of Slurm, as submitit's local controller forwards it."""
    go = tmp_path / "go"
    with executor_for("submitit-local", folder=tmp_path / "logs") as workers:
        thread, results = in_background(ledger, workers, plan(trace, 1, until=str(go)), "square")
        wait_until(lambda: len(calls(trace)) == 1, "the job to begin")
        os.kill(int(trace.read_text().split()[2]), LocalJobEnvironment._usr_sig())
        wait_until(lambda: len(calls(trace)) == 2, "the second start")
        go.touch()
        thread.join()
    assert [result.values for result in results] == [{"square": 0}]
    first, second = ledger.entry("k0").attempts
    assert (first.outcome, first.cause) == ("failed", "preempted")
    assert (second.outcome, second.number) == ("done", 2)


def test_a_job_that_its_cluster_lost_sight_of_is_not_done_twice(
    ledger: Ledger, trace: Path, tmp_path: Path
) -> None:
    """`LocalJob._interrupt`, submitit's test interface, ends the controller and not the task: to
    the executor the job is gone, yet its claim is held, so its result is waited for.
    """
    go = tmp_path / "go"
    with executor_for("submitit-local", folder=tmp_path / "logs") as workers:
        assert isinstance(workers, SubmititWorkers)
        thread, results = in_background(ledger, workers, plan(trace, 1, until=str(go)), "square")
        wait_until(lambda: len(calls(trace)) == 1, "the job to begin")
        (waiting,) = workers._snapshot()
        assert isinstance(waiting.job, LocalJob)
        waiting.job._interrupt()
        wait_until(lambda: not workers._snapshot(), "the executor to give it up")
        go.touch()
        thread.join()
    assert [result.values for result in results] == [{"square": 0}]
    assert calls(trace) == ["k0"]
    assert [attempt.outcome for attempt in ledger.entry("k0").attempts] == ["done"]


def test_a_killed_batch_job_is_tried_again(ledger: Ledger, trace: Path, tmp_path: Path) -> None:
    with executor_for("submitit-local", folder=tmp_path / "logs") as workers:
        (result,) = run_jobs(plan(trace, 1, kill_at=2), works.square_in_steps, ledger, workers)
    assert result.values == {"square": 0, "steps_of_last_attempt": 1}
    assert [attempt.cause for attempt in ledger.entry("k0").attempts] == ["lost", None]


def test_what_slurm_is_asked_for() -> None:
    """No Slurm here: the parameters that submitit is given."""
    workers = executor_for("slurm:gpu,gpus=1,cpus=8,mem_gb=16,hours=2")
    assert isinstance(workers, SubmititWorkers)
    assert workers._limits(None) == {
        "name": "latentbench", "timeout_min": 120, "slurm_partition": "gpu",
        "gpus_per_node": 1, "cpus_per_task": 8, "mem_gb": 16.0,
    }  # fmt: skip
    assert workers._limits(300.0)["timeout_min"] == 8
    bare = executor_for("slurm,gpus=2")
    assert isinstance(bare, SubmititWorkers)
    assert bare._limits(None) == {"name": "latentbench", "timeout_min": 1440, "gpus_per_node": 2}
    with pytest.raises(UsageError, match=r"unknown parameter .*'gpu'. Did you mean 'gpus'"):
        executor_for("slurm:main,gpu=1")
    for option, least in (("gpus=-1", 0), ("cpus=0", 1), ("hours=nan", 0.01), ("hours=inf", 0.01),
                          ("mem_gb=-2", 0.01), ("hours=0", 0.01)):  # fmt: skip
        with pytest.raises(UsageError, match=f"of {least} or more, got '{option}'"):
            executor_for(f"slurm:gpu,{option}")
    with pytest.raises(UsageError, match="expected gpus=NUMBER"):
        executor_for("slurm:main,gpus=all")


def test_an_emitted_array_does_what_is_left(
    ledger: Ledger, trace: Path, tmp_path: Path, inline: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_jobs(plan(trace, 1), works.square, ledger, inline)
    monkeypatch.setattr("bench.execution.executors.slurm_array.ARRAY_SIZE", 2)
    files = emit_slurm(
        plan(trace, 4), "tests.execution.works:square", ledger, tmp_path / "an array",
        options=["--partition=gpu"], timeout_s=600,
    )  # fmt: skip
    assert files.jobs == 3
    assert [path.name for path in files.scripts] == ["array-1.sbatch", "array-2.sbatch"]
    first = files.scripts[0].read_text()
    assert "#SBATCH --array=1-2\n" in first
    assert "#SBATCH --partition=gpu\n" in first
    for script, task in [(files.scripts[0], 1), (files.scripts[0], 2), (files.scripts[1], 1)]:
        subprocess.run(
            ["bash", str(script)],  # noqa: S607
            env={**os.environ, "SLURM_ARRAY_TASK_ID": str(task), "SLURM_JOB_ID": "17"},
            check=True,
            capture_output=True,
            cwd=ROOT,
        )
    assert calls(trace) == ["k0", "k1", "k2", "k3"]
    (attempt,) = ledger.entry("k3").attempts
    assert attempt.executor == "slurm job 17"
    with pytest.raises(NothingFoundError, match="every job has a result"):
        emit_slurm(plan(trace, 4), "tests.execution.works:square", ledger, tmp_path)


def test_a_head_node_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="is this a node of Slurm"):
        executor_for("slurm", folder=tmp_path).__enter__()
