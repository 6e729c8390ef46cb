"""Ledgers that name work by a module of an earlier version: read, updated, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.errors import EXIT_OK, EXIT_USAGE, UsageError
from bench.execution.__main__ import main
from bench.execution.executors.workers import Workers
from bench.execution.ledger.ledger import Ledger
from bench.execution.ledger.work import work_named
from bench.execution.scheduling import run_jobs
from bench.execution.status import status
from tests.execution import works
from tests.execution.conftest import calls, plan

OLD = "baselines.ablation.work:do_run"  # moved to baselines.ablation.run
ADVICE = "run the command that planned it again: finished results stay valid"


@pytest.fixture
def old_ledger(ledger: Ledger, inline: Workers, trace: Path) -> Ledger:
    """Two jobs that an earlier version registered, the first with its result."""
    with inline:
        run_jobs(plan(trace, 1), works.square, ledger, inline)
    ledger.register(plan(trace, 2), OLD)
    trace.unlink()
    return ledger


def work_of(ledger: Ledger, key: str) -> str:
    return str(json.loads((ledger.folder(key) / "job.json").read_text())["work"])


def test_its_results_are_read(old_ledger: Ledger, trace: Path) -> None:
    assert work_of(old_ledger, "k0") == OLD
    assert old_ledger.compare(plan(trace, 2)).done == ("k0",)
    assert status(old_ledger).counts | {"done": 1, "todo": 1} == status(old_ledger).counts


def test_the_same_plan_keeps_them_and_writes_the_present_name(
    old_ledger: Ledger, inline: Workers, trace: Path
) -> None:
    with inline:
        results = run_jobs(plan(trace, 2), works.square, old_ledger, inline)
    assert [result.values for result in results] == [{"square": 0}, {"square": 1}]
    assert calls(trace) == ["k1"]
    assert work_of(old_ledger, "k0") == work_of(old_ledger, "k1") == "tests.execution.works:square"


def test_a_job_run_by_hand_is_refused_with_advice(
    old_ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(old_ledger.root), "k0"]) == EXIT_OK  # its result needs no work
    assert main([str(old_ledger.root), "k1"]) == EXIT_USAGE
    shown = capsys.readouterr()
    assert f"job k1: work '{OLD}': there is no module 'baselines.ablation.work'" in shown.err
    assert ADVICE in shown.err
    assert "Traceback" not in shown.err
    assert old_ledger.entry("k1").attempts == ()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.at.all:f", f"there is no module 'nowhere'.*{ADVICE}"),
        ("json:nothing", f"json has no 'nothing'.*{ADVICE}"),
        ("needing:f", "needing imports 'what_is_missing', which is not installed"),
        ("json:__doc__", "is not a function"),
        ("json", "as 'package.module:function'"),
    ],
)
def test_what_is_missing_is_named(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needing.py").write_text("import what_is_missing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match=message):
        work_named(name)
