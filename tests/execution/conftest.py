"""Ledgers in temporary folders, workers that find the tests' functions, and waiting with an end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.execution.executors.executors import executor_for
from bench.execution.executors.workers import Workers
from bench.execution.ledger.ledger import Ledger
from bench.execution.ledger.work import Job

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0


@pytest.fixture(autouse=True)
def _found_by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


@pytest.fixture
def inline() -> Workers:
    return executor_for("inline")


@pytest.fixture(scope="module")
def local_2() -> Iterator[Workers]:
    """Two processes for all tests of a file that leave them whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        with executor_for("local:2") as workers:
            yield workers


def plan(trace: Path, count: int = 3, **more: object) -> list[Job]:
    """Jobs 0 to count - 1 with the payload n, trace and more."""
    return [
        Job(key=f"k{n}", label=f"job {n}", payload={"n": n, "trace": str(trace), **more})
        for n in range(count)
    ]


def calls(trace: Path) -> list[str]:
    """The key of each call of work, sorted."""
    return (
        sorted(line.split()[0] for line in trace.read_text().splitlines()) if trace.exists() else []
    )


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Look again and again; fail after a minute."""
    end = time.monotonic() + DEADLINE_S
    while not true():
        if time.monotonic() > end:
            pytest.fail(f"waited in vain for {what}")
        time.sleep(0.01)
