"""Schedulers as processes: killed, interrupted, two on one ledger; and runs by hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.errors import EXIT_INTERRUPTED, EXIT_INVALID, EXIT_OK, EXIT_USAGE
from bench.execution.executors.workers import Workers
from bench.execution.ledger.ledger import Ledger
from bench.execution.scheduling import run_jobs
from tests.execution import works
from tests.execution.conftest import calls, plan, wait_until

SCHEDULER = """
import sys
from pathlib import Path
from bench.execution.executors.executors import executor_for
from bench.execution.ledger.ledger import Ledger
from bench.execution.scheduling import run_jobs
from tests.execution.conftest import plan

def main():
    root, trace, executor, work, count, more = sys.argv[1:]
    jobs = plan(Path(trace), int(count), **eval(more))
    with executor_for(executor) as workers:
        results = run_jobs(jobs, f"tests.execution.works:{work}", Ledger(root), workers,
                           on_event=lambda event: print(event.kind, event.key, flush=True))
    print([result.values for result in results])

if __name__ == "__main__":
    main()
"""


@contextmanager
def scheduler(
    ledger: Ledger, trace: Path, executor: str, work: str, count: int, **more: object
) -> Iterator[subprocess.Popen[str]]:
    """Run a scheduler as a process, which is killed when the test fails."""
    script = trace.with_name("scheduler.py")
    script.write_text(SCHEDULER)
    command = [sys.executable, str(script), str(ledger.root), str(trace), executor, work]
    with subprocess.Popen(
        [*command, str(count), repr(more)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def pids(trace: Path) -> set[int]:
    return {int(line.split()[2]) for line in trace.read_text().splitlines()}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_same_command_after_the_scheduler_was_killed(
    ledger: Ledger, trace: Path, tmp_path: Path, inline: Workers
) -> None:
    go = tmp_path / "go"
    with scheduler(ledger, trace, "local:2", "square", 4, until=str(go)) as killed:
        wait_until(lambda: len(calls(trace)) == 2, "two jobs at work")
        killed.send_signal(signal.SIGKILL)
        killed.wait()  # its pipes stay open in the workers
    assert [ledger.entry(key).state for key in ("k0", "k1", "k2", "k3")] == [
        "running", "running", "todo", "todo"
    ]  # fmt: skip
    with scheduler(ledger, trace, "local:2", "square", 4, until=str(go)) as again:
        wait_until(lambda: len(calls(trace)) == 4, "the other two")
        go.touch()
        output, errors = again.communicate()
    assert again.returncode == 0, errors
    assert output.splitlines()[-1] == str([{"square": n * n} for n in range(4)])
    assert calls(trace) == ["k0", "k1", "k2", "k3"]  # the orphans' results were taken
    wait_until(lambda: not any(map(alive, pids(trace))), "the orphaned workers to end")


def test_scheduler_and_workers_killed_at_once(
    ledger: Ledger, trace: Path, tmp_path: Path, inline: Workers
) -> None:
    with scheduler(ledger, trace, "local:2", "square", 3, until=str(tmp_path / "no")) as killed:
        wait_until(lambda: len(calls(trace)) == 2, "two jobs at work")
        killed.send_signal(signal.SIGKILL)
        killed.wait()  # its pipes stay open in the workers
    for pid in pids(trace):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(alive, pids(trace))), "the workers to die")
    results = run_jobs(plan(trace, 3), works.square, ledger, inline, max_attempts=1)
    assert [result.values for result in results] == [{"square": n * n} for n in range(3)]
    assert [attempt.cause for attempt in ledger.entry("k0").attempts] == ["lost", None]
    assert calls(trace) == ["k0", "k0", "k1", "k1", "k2"]


def test_two_schedulers_on_one_ledger(ledger: Ledger, trace: Path) -> None:
    with (
        scheduler(ledger, trace, "local:2", "square", 12) as one,
        scheduler(ledger, trace, "local:2", "square", 12) as other,
    ):
        outputs = [process.communicate() for process in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], outputs
    expected = str([{"square": n * n} for n in range(12)])
    assert [output.splitlines()[-1] for output, _ in outputs] == [expected] * 2
    assert calls(trace) == sorted(f"k{n}" for n in range(12))  # each exactly once


def test_a_job_whose_other_scheduler_dies_is_taken_over(
    ledger: Ledger, trace: Path, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    with scheduler(ledger, trace, "inline", "square", 1, until=str(go)) as first:
        wait_until(lambda: len(calls(trace)) == 1, "the first at work")
        with scheduler(ledger, trace, "inline", "square", 1, until=str(go)) as second:
            assert second.stdout is not None
            assert second.stdout.readline() == "busy k0\n"
            first.send_signal(signal.SIGKILL)
            first.communicate()
            wait_until(lambda: len(calls(trace)) == 2, "the takeover")
            go.touch()
            output, errors = second.communicate()
    assert second.returncode == 0, errors
    assert output.splitlines()[-1] == str([{"square": 0}])
    assert [a.cause for a in ledger.entry("k0").attempts] == ["lost", None]


@pytest.mark.parametrize("executor", ["local:2", "inline"])
def test_ctrl_c_lets_work_save_and_the_next_run_goes_on(
    ledger: Ledger, trace: Path, inline: Workers, executor: str
) -> None:
    begun = ["k0", "k1"] if executor == "local:2" else ["k0"]
    with scheduler(ledger, trace, executor, "saves_on_interrupt", 3) as stopped:
        ready = [ledger.work_folder(key) / "ready" for key in begun]
        wait_until(lambda: all(path.exists() for path in ready), "work to begin")
        os.killpg(stopped.pid, signal.SIGINT)  # the terminal's whole foreground group
        _, errors = stopped.communicate()
    assert stopped.returncode != 0
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert errors.count("Traceback") == 1, errors  # the workers end without one
    assert calls(trace) == begun  # nothing new was begun
    assert [ledger.entry(key).state for key in ("k0", "k1", "k2")] == ["todo"] * 3
    for key in begun:
        assert [attempt.cause for attempt in ledger.entry(key).attempts] == ["interrupted"]
    (ledger.work_folder("k2") / "saved").parent.mkdir(parents=True, exist_ok=True)
    for key in {"k0", "k1", "k2"} - set(begun):
        ledger.work_folder(key).mkdir(parents=True, exist_ok=True)
        (ledger.work_folder(key) / "saved").touch()
    results = run_jobs(plan(trace), works.saves_on_interrupt, ledger, inline)
    assert [result.values for result in results] == [{"resumed": True}] * 3


def test_a_second_ctrl_c_does_not_wait(ledger: Ledger, trace: Path) -> None:
    with scheduler(ledger, trace, "local:1", "ignores_interrupts", 1) as stopped:
        ready = ledger.work_folder("k0") / "ready"
        wait_until(ready.exists, "work to begin")
        assert stopped.stdout is not None
        assert stopped.stdout.readline() == "started k0\n"
        stopped.send_signal(signal.SIGINT)
        assert stopped.stdout.readline() == "stopping k0\n"  # it waits for the work now
        stopped.send_signal(signal.SIGINT)
        stopped.communicate()
    assert stopped.returncode != 0
    wait_until(lambda: not any(map(alive, pids(trace))), "the worker to end")
    assert ledger.entry("k0").state == "todo"


def by_hand(arguments: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench.execution", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_run_by_hand_is_the_same_thing(
    ledger: Ledger, trace: Path, inline: Workers, tmp_path: Path
) -> None:
    ledger.register(plan(trace, 1), "tests.execution.works:square")
    with by_hand([str(ledger.root), "k0"]) as process:
        output, errors = process.communicate()
    assert (process.returncode, output) == (EXIT_OK, "k0 done\n"), errors
    (attempt,) = ledger.entry("k0").attempts
    assert (attempt.executor, attempt.pid) == ("by hand", process.pid)
    (result,) = run_jobs(plan(trace, 1), works.square, ledger, inline)
    assert result.values == {"square": 0}
    assert calls(trace) == ["k0"]


def test_by_hand_out_of_memory_failure_and_unknown_job(ledger: Ledger, trace: Path) -> None:
    ledger.register(plan(trace, 1), "tests.execution.works:needs_memory")
    with by_hand([str(ledger.root), "k0"]) as process:
        assert process.communicate()[0] == "k0 done\n"
    assert [a.memory_step for a in ledger.entry("k0").attempts] == [0, 1, 2]
    ledger.register(plan(trace, 2)[1:], "tests.execution.works:fails")
    with by_hand([str(ledger.root), "k1"]) as process:
        output, _ = process.communicate()
    assert output == "k1 failed: error: ValueError: seven is not a colour\n"
    assert process.returncode == EXIT_INVALID
    with by_hand([str(ledger.root), "k9"]) as process:
        _, errors = process.communicate()
    assert process.returncode == EXIT_USAGE
    assert "expected a job here" in errors


def test_slurms_sigterm_lets_a_run_by_hand_save(ledger: Ledger, trace: Path) -> None:
    ledger.register(plan(trace, 1), "tests.execution.works:saves_on_interrupt")
    ready = ledger.work_folder("k0") / "ready"
    with by_hand([str(ledger.root), "k0"]) as process:
        wait_until(ready.exists, "work to begin")
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate()
    assert (process.returncode, output) == (
        EXIT_INTERRUPTED, "k0 failed: interrupted: interrupted\n"
    )  # fmt: skip
    with by_hand([str(ledger.root), "k0"]) as process:
        assert process.communicate()[0] == "k0 done\n"
