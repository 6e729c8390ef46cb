"""The option that names an executor, and what stays light."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from concurrent.futures import Executor
from pathlib import Path

import pytest

from bench.errors import UnknownNameError, UsageError
from bench.execution.executors.executors import executor_for
from bench.execution.executors.workers import Workers, cores
from bench.execution.ledger.causes import WorkerLost
from tests.execution import works
from tests.execution.conftest import wait_until

HEAVY = {"torch", "numpy", "pandas", "scipy", "matplotlib", "distributed", "submitit", "pebble"}


def test_names() -> None:
    assert executor_for("local:3").name == "local:3"
    assert executor_for("local:3").width == 3
    assert executor_for("local").width == executor_for().width == cores()
    assert executor_for("inline").width == 1
    assert executor_for("dask:tcp://host:8786").name == "dask:tcp://host:8786"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "lokal:2",
            r"unknown executor 'lokal'\. Did you mean 'local'\? Valid: dask, inline, local",
        ),
        ("", "unknown executor ''"),
        ("local:0", "expected local or local:N with N of 1 or more"),
        ("local:-1", "expected local or local:N"),
        ("local:two", "expected local or local:N"),
        ("dask", "expected dask:ADDRESS"),
        ("inline:2", "expected 'inline' with nothing after it"),
        ("submitit-debug:x", "expected 'submitit-debug' with nothing after it"),
    ],
)
def test_names_that_cannot_be_used(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        executor_for(text)
    if "unknown" in message:
        with pytest.raises(UnknownNameError):
            executor_for(text)


@pytest.mark.parametrize(
    ("text", "module"), [("dask:tcp://host:1", "distributed"), ("slurm", "submitit")]
)
def test_a_missing_extra_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=f"pip install {module}"):
        executor_for(text, folder=tmp_path).__enter__()


@pytest.mark.parametrize("text", ["inline", "local:1", "submitit-debug"])
def test_the_standard_librarys_interface(text: str, tmp_path: Path) -> None:
    with executor_for(text, folder=tmp_path) as workers:
        assert isinstance(workers, Executor)
        assert workers.submit(divmod, 7, 2).result() == (3, 1)
        assert list(workers.map(abs, [-1, 2, -3])) == [1, 2, 3]
        error = workers.submit(int, "seven").exception()
        assert "invalid literal" in str(error)
        with pytest.raises(TypeError, match="bind them with functools.partial"):
            workers.submit(int, "7", base=8)


def test_workers_are_used_inside_their_context() -> None:
    workers: Workers = executor_for("local:1")
    with pytest.raises(RuntimeError, match="use them in a with statement"):
        workers.submit(abs, -1)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "from bench.execution import performing, scheduling, status, __main__\n"
        "from bench.execution.executors import executors, slurm_array\n"
        "from bench.execution.ledger import causes, claims, ledger\n"
        "import sys\nprint(*sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not set(result.stdout.split()) & HEAVY


def test_workers_that_die_before_they_take_a_call(tmp_path: Path) -> None:
    """All are killed while they start: the call is lost, the next one gets new processes."""
    with executor_for("local:1") as workers:
        lost = workers.submit(works.until, tmp_path / "never")
        wait_until(lambda: bool(multiprocessing.active_children()), "a process")
        for child in multiprocessing.active_children():
            child.kill()
        assert isinstance(lost.exception(timeout=60), WorkerLost)
        assert workers.submit(abs, -1).result(timeout=60) == 1
