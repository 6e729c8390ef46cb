"""Counts, times and reasons of a ledger, with times written by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench.execution.ledger.attempts import Attempt
from bench.execution.ledger.ledger import Ledger, Result
from bench.execution.ledger.work import Job
from bench.execution.status import FailedJob, status

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def attempted(ledger: Ledger, key: str, begin: float, end: float | None, **more: object) -> None:
    ledger.clear_corrupt(key)
    whole = Attempt.begun(
        ledger.next_number(key), executor="local:2", stack=1, memory_step=0, folder_state=""
    )
    made = replace(whole, started=at(begin), ended=None if end is None else at(end))
    ledger.write_attempt(key, replace(made, **more))  # type: ignore[arg-type]


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """Seven jobs, two done in 100 s and 300 s; one of each other kind; costs 1 and 3."""
    costs = {"d1": 1.0, "d2": 3.0, "nan": 1.0, "bad": 2.0, "run": 4.0, "todo": 2.0, "odd": None}
    jobs = [Job(key=key, label=f"cell {key}", cost=cost) for key, cost in costs.items()]
    ledger.register(jobs, "tests.execution.works:square")
    for key, begin, end in [("d1", 0, 100), ("d2", 100, 400), ("nan", 400, 500)]:
        state = "diverged" if key == "nan" else "done"
        attempted(ledger, key, begin, end, outcome=state)
        ledger.write_result(
            key,
            Result(state=state, values={}, message=None, attempt=1, seconds=1.0, ended=at(end)),
        )
    attempted(ledger, "bad", 0, 20, outcome="failed", cause="lost", message="gone")
    attempted(ledger, "bad", 20, 50, outcome="failed", cause="error", message="ValueError: seven")
    (ledger.folder("odd") / "result.json").write_text("{")
    return ledger


def test_status_while_nothing_runs(filled: Ledger) -> None:
    found = status(filled)
    assert found.counts == {
        "todo": 2, "running": 0, "done": 2, "diverged": 1, "failed": 1, "corrupt": 1
    }  # fmt: skip
    assert found.total == 7
    assert found.elapsed_s == 500
    assert found.worked_s == 100 + 300 + 100 + 20 + 30
    # 500 s for a cost of 5 is 100 s each; to do are bad 2, run 4, todo 2 and odd 1: 9
    assert found.remaining_s == pytest.approx(900)
    assert found.failed == (FailedJob("bad", "cell bad", "error", "ValueError: seven", 2),)
    assert [path.name for path in found.corrupt] == ["result.json"]
    assert found.running == ()
    assert status(filled, ["d1"]).remaining_s == 0


def test_status_while_a_job_runs(filled: Ledger) -> None:
    claim = filled.claim("run")
    assert claim is not None
    with claim:
        begun = Attempt.begun(1, executor="local:2", stack=1, memory_step=0, folder_state="")
        filled.write_attempt("run", begun)
        found = status(filled)
    assert found.counts["running"] == 1
    (running,) = found.running
    assert (running.label, running.executor, running.pid) == ("cell run", "local:2", begun.pid)
    assert found.remaining_s == pytest.approx(900, abs=5)  # one at a time, hardly begun
    assert found.elapsed_s > 500


def test_status_of_nothing(tmp_path: Path) -> None:
    found = status(Ledger(tmp_path / "nowhere"))
    assert (found.total, found.elapsed_s, found.remaining_s) == (0, 0.0, None)
