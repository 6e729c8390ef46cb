"""A real dask cluster of two nannied processes: results, and a worker that is killed at work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.execution.executors.executors import executor_for
from bench.execution.ledger.ledger import Ledger
from bench.execution.scheduling import run_jobs
from tests.execution import works
from tests.execution.conftest import ROOT, calls, plan


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a scheduler in a thread of this process, with workers as processes under nannies."""
    started, leave = threading.Event(), threading.Event()
    found: list[str] = []

    async def serve() -> None:
        from distributed import Nanny, Scheduler

        async with (
            Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler,
            Nanny(scheduler.address, nthreads=1, dashboard_address=None) as _,
            Nanny(scheduler.address, nthreads=1, dashboard_address=None) as _,
        ):
            found.append(scheduler.address)
            started.set()
            while not leave.is_set():
                await asyncio.sleep(0.02)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        assert started.wait(60)
        yield found[0]
        leave.set()
        thread.join(60)


def test_jobs_run_on_the_cluster(ledger: Ledger, trace: Path, address: str) -> None:
    with executor_for(f"dask:{address}") as workers:
        assert workers.width == 2
        results = run_jobs(plan(trace, 4), works.square, ledger, workers)
        (slow,) = run_jobs(
            [job for job in plan(trace, 9) if job.key == "k8"],
            works.sleeps,
            ledger,
            workers,
            timeout_s=0.3,
        )
    assert [result.values for result in results] == [{"square": n * n} for n in range(4)]
    assert (slow.state, slow.cause) == ("failed", "timeout")
    (attempt,) = ledger.entry("k0").attempts
    assert attempt.executor == f"dask:{address}"


def test_a_killed_dask_worker_costs_an_attempt(ledger: Ledger, trace: Path, address: str) -> None:
    jobs = plan(trace, 2, kill_at=1)
    with executor_for(f"dask:{address}") as workers:
        results = run_jobs(jobs, works.square_in_steps, ledger, workers)
    assert [result.values for result in results] == [
        {"square": n * n, "steps_of_last_attempt": 2} for n in range(2)
    ]
    assert calls(trace) == ["k0", "k0", "k1", "k1"]
    assert [attempt.cause for attempt in ledger.entry("k0").attempts] == ["lost", None]


def test_a_job_that_always_kills_dask_workers_is_given_up(
    ledger: Ledger, trace: Path, address: str
) -> None:
    with executor_for(f"dask:{address}") as workers:
        (result,) = run_jobs(plan(trace, 1), works.always_killed, ledger, workers, max_attempts=2)
    assert (result.state, result.cause, result.attempts) == ("failed", "lost", 2)
    assert calls(trace) == ["k0", "k0"]


def test_an_address_where_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.execution.executors.dask_cluster._CONNECT_S", 0.5)
    with pytest.raises(UsageError, match="no dask scheduler answers at this address"):
        executor_for("dask:tcp://127.0.0.1:9").__enter__()
