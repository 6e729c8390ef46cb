"""Plans through the scheduler: outcomes in plan order, retries by cause, and what is never done
twice. The workers are this process or two spawned ones; other executors have files of their own.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import Future
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.execution import scheduling
from bench.execution.executors.workers import Workers, cores
from bench.execution.ledger.ledger import Ledger
from bench.execution.ledger.work import Job
from bench.execution.scheduling import Event, run_jobs
from tests.execution import works
from tests.execution.conftest import calls, plan


def test_results_come_in_plan_order(ledger: Ledger, trace: Path, local_2: Workers) -> None:
    jobs = [
        Job(key=job.key, label=job.label, payload=job.payload, cost=float(n))
        for n, job in enumerate(plan(trace, 5))
    ]
    events: list[Event] = []
    results = run_jobs(jobs, works.square, ledger, local_2, on_event=events.append)
    assert [result.key for result in results] == ["k0", "k1", "k2", "k3", "k4"]
    assert [result.values for result in results] == [{"square": n * n} for n in range(5)]
    assert {(result.state, result.attempts) for result in results} == {("done", 1)}
    begun = [event.key for event in events if event.kind == "started"]
    assert begun == ["k4", "k3", "k2", "k1", "k0"]  # the dearest first
    assert events[-1].finished == events[-1].total == 5


def test_the_same_command_does_nothing_twice(ledger: Ledger, trace: Path, inline: Workers) -> None:
    first = run_jobs(plan(trace), works.square, ledger, inline)
    events: list[Event] = []
    again = run_jobs(plan(trace), works.square, ledger, inline, on_event=events.append)
    assert again == first
    assert calls(trace) == ["k0", "k1", "k2"]
    assert [event.kind for event in events] == ["cached"] * 3


def test_a_killed_worker_fails_its_job_only_and_the_job_goes_on(
    ledger: Ledger, trace: Path, local_2: Workers
) -> None:
    jobs = plan(trace, 4)
    jobs[1] = Job(key="k1", label="job 1", payload={**jobs[1].payload, "kill_at": 2})
    results = run_jobs(jobs, works.square_in_steps, ledger, local_2)
    assert [result.values for result in results if result.values is not None] == [
        {"square": 0, "steps_of_last_attempt": 3},
        {"square": 1, "steps_of_last_attempt": 1},  # two steps were in its folder
        {"square": 4, "steps_of_last_attempt": 3},
        {"square": 9, "steps_of_last_attempt": 3},
    ]
    assert calls(trace) == ["k0", "k1", "k1", "k2", "k3"]
    lost, done = ledger.entry("k1").attempts
    assert (lost.outcome, lost.cause, lost.progress) == ("failed", "lost", True)
    assert "SIGKILL" in (lost.message or "")
    assert done.outcome == "done"


def test_a_job_that_always_kills_its_worker_is_given_up(
    ledger: Ledger, trace: Path, local_2: Workers
) -> None:
    (result,) = run_jobs(plan(trace, 1), works.always_killed, ledger, local_2, max_attempts=2)
    assert (result.state, result.cause, result.attempts) == ("failed", "lost", 2)
    assert calls(trace) == ["k0", "k0"]


def test_timeout_without_progress_is_not_tried_again(
    ledger: Ledger, trace: Path, local_2: Workers
) -> None:
    (result,) = run_jobs(plan(trace, 1), works.sleeps, ledger, local_2, timeout_s=0.3)
    assert (result.state, result.cause, result.attempts) == ("failed", "timeout", 1)
    assert result.message == "ran longer than its time limit of 0.3 s"
    (attempt,) = ledger.entry("k0").attempts
    assert "works.py" in (attempt.traceback or "")  # it says where the work was


def test_timeout_with_progress_goes_on(ledger: Ledger, trace: Path, local_2: Workers) -> None:
    (result,) = run_jobs(plan(trace, 1, saves=True), works.sleeps, ledger, local_2, timeout_s=0.3)
    assert (result.state, result.values, result.attempts) == ("done", {"steps": 3}, 3)
    assert [attempt.cause for attempt in ledger.entry("k0").attempts] == ["timeout"] * 2 + [None]


def test_work_that_is_deaf_to_its_limit_is_killed(
    ledger: Ledger, trace: Path, local_2: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "KILL_AFTER_S", 0.3)
    (result,) = run_jobs(plan(trace, 1, deaf=True), works.sleeps, ledger, local_2, timeout_s=0.3)
    assert (result.state, result.cause, result.attempts) == ("failed", "timeout", 1)
    assert result.message == "killed after 0.6 s, as it ignored its time limit"


@pytest.mark.parametrize("own_class", [False, True])
def test_divergence_is_a_result_and_never_tried_again(
    ledger: Ledger, trace: Path, inline: Workers, own_class: bool
) -> None:
    for _ in range(2):
        (result,) = run_jobs(plan(trace, 1, own_class=own_class), works.diverges, ledger, inline)
        assert (result.state, result.cause, result.attempts) == ("diverged", None, 1)
        assert result.message == "loss is NaN at step 1"
        assert result.values == ({} if own_class else {"step": 1})
    assert calls(trace) == ["k0"]


def test_out_of_memory_asks_for_less(ledger: Ledger, trace: Path, inline: Workers) -> None:
    (result,) = run_jobs(plan(trace, 1), works.needs_memory, ledger, inline)
    assert (result.state, result.values) == ("done", {"memory_step": 2})
    assert [a.memory_step for a in ledger.entry("k0").attempts] == [0, 1, 2]


def test_memory_steps_go_on_in_the_next_run(ledger: Ledger, trace: Path, inline: Workers) -> None:
    jobs = plan(trace, 1, fits_at=3)
    (result,) = run_jobs(jobs, works.needs_memory, ledger, inline, max_attempts=2)
    assert (result.state, result.cause) == ("failed", "memory")
    (result,) = run_jobs(jobs, works.needs_memory, ledger, inline, max_attempts=2)
    assert (result.state, result.values, result.attempts) == ("done", {"memory_step": 3}, 4)


def grouped(trace: Path, count: int, **more: object) -> list[Job]:
    return [
        Job(key=job.key, label=job.label, payload=job.payload, group="dcgan")
        for job in plan(trace, count, **more)
    ]


def test_a_stack_is_halved_when_it_does_not_fit(
    ledger: Ledger, trace: Path, inline: Workers
) -> None:
    results = run_jobs(
        grouped(trace, 5, room=2),
        works.one_square,
        ledger,
        inline,
        work_many=works.many_squares,
        stack=4,
        max_attempts=1,  # splitting is no attempt of a job's own
    )
    assert [result.state for result in results] == ["done"] * 5
    # the first four do not fit and go behind the fifth: pairs 4 0, 1 2, and 3 alone
    assert [r.values and r.values["together"] for r in results] == [2, 2, 2, 1, 2]
    assert [a.stack for a in ledger.entry("k0").attempts] == [4, 2]


def test_the_job_that_breaks_its_stack_is_found(
    ledger: Ledger, trace: Path, inline: Workers
) -> None:
    jobs = grouped(trace, 4)
    jobs[2] = Job(key="k2", label="job 2", payload={**jobs[2].payload, "bad": True}, group="dcgan")
    results = run_jobs(
        jobs, works.one_square, ledger, inline, work_many=works.many_squares, stack=4
    )
    assert [result.state for result in results] == ["done", "done", "failed", "done"]
    assert results[2].message == "ValueError: seven is not a colour"


def test_one_of_a_stack_diverges_alone(ledger: Ledger, trace: Path, inline: Workers) -> None:
    jobs = grouped(trace, 3)
    jobs[1] = Job(key="k1", label="job 1", payload={**jobs[1].payload, "nan": True}, group="dcgan")
    results = run_jobs(
        jobs, works.one_square, ledger, inline, work_many=works.many_squares, stack=8
    )
    assert [result.state for result in results] == ["done", "diverged", "done"]
    assert results[0].values == {"square": 0, "together": 3}
    assert calls(trace) == ["k0", "k1", "k2"]


def test_stacks_keep_groups_apart_and_leave_out_what_is_claimed(
    ledger: Ledger, trace: Path, inline: Workers
) -> None:
    jobs = [
        Job(key=job.key, label=job.label, payload=job.payload, group=("even", "odd")[n % 2])
        for n, job in enumerate(plan(trace, 4))
    ]
    order = scheduling.Order(
        root=str(ledger.root),
        keys=("k0", "k2"),
        work="tests.execution.works:one_square",
        work_many="tests.execution.works:many_squares",
    )
    ledger.register(jobs, order.work)
    claim = ledger.claim("k0")
    assert claim is not None
    with claim:
        replies = scheduling.perform(order)
    assert [reply.outcome for reply in replies] == ["busy", "done"]
    assert calls(trace) == ["k2"]
    results = run_jobs(
        jobs, works.one_square, ledger, inline, work_many=works.many_squares, stack=4
    )
    assert [r.values and r.values["together"] for r in results] == [1, 2, 1, 2]


def test_failures_do_not_stop_the_others_and_are_tried_by_the_next_run(
    ledger: Ledger, trace: Path, inline: Workers, tmp_path: Path
) -> None:
    jobs = plan(trace, 2, mended=str(tmp_path / "mended"))
    results = run_jobs(jobs, works.fails, ledger, inline)
    assert [(r.state, r.cause, r.message) for r in results] == [
        ("failed", "error", "ValueError: seven is not a colour")
    ] * 2
    assert calls(trace) == ["k0", "k1"]  # once: the same would happen again
    (tmp_path / "mended").touch()
    results = run_jobs(jobs, works.fails, ledger, inline)
    assert [(r.state, r.attempts) for r in results] == [("done", 2)] * 2
    assert [a.outcome for a in ledger.entry("k0").attempts] == ["failed", "done"]


def test_a_full_disk_stops_the_run_and_all_is_resumable(
    ledger: Ledger, trace: Path, inline: Workers, tmp_path: Path
) -> None:
    full = tmp_path / "full"
    full.touch()
    jobs = plan(trace, 3, full=str(full))
    with pytest.raises(UsageError, match=r"0 of 3 jobs finished: .*No space left on device"):
        run_jobs(jobs, works.fills_disk, ledger, inline)
    assert calls(trace) == ["k0"]  # nothing more was begun
    assert ledger.entry("k0").state == "todo"
    full.unlink()
    results = run_jobs(jobs, works.fills_disk, ledger, inline, max_attempts=1)
    assert [result.state for result in results] == ["done"] * 3


@pytest.mark.parametrize("name", ["result.json", "0001.json"])
def test_a_disk_that_is_full_when_the_ledger_is_written(
    ledger: Ledger, trace: Path, inline: Workers, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = os.fsync
    failing = True

    def no_room(descriptor: int) -> None:
        if failing and name in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(28, "No space left on device", name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(UsageError, match="No space left on device"):
        run_jobs(plan(trace, 2), works.square, ledger, inline)
    folder = ledger.folder("k0")
    assert not (folder / "result.json").exists()
    assert not [path for path in folder.rglob("*") if path.suffix == ".tmp"]
    failing = False
    results = run_jobs(plan(trace, 2), works.square, ledger, inline)
    assert [result.values for result in results] == [{"square": 0}, {"square": 1}]


@pytest.mark.parametrize(
    ("n", "reason"),
    [(1, "result.metrics.fid is nan, which is not finite"), (0, "result.metrics.fid is a set")],
)
def test_a_result_that_is_not_finite_json_is_refused(
    ledger: Ledger, trace: Path, inline: Workers, n: int, reason: str
) -> None:
    job = Job(key="k", label="the cell", payload={"n": n, "trace": str(trace)})
    (result,) = run_jobs([job], works.not_json, ledger, inline)
    assert (result.state, result.cause) == ("failed", "result")
    assert f"job 'the cell' (k): {reason}" in (result.message or "")
    assert not (ledger.folder("k") / "result.json").exists()


def test_a_lost_device_ends_its_process(ledger: Ledger, trace: Path, local_2: Workers) -> None:
    (result,) = run_jobs(plan(trace, 1), works.loses_device, ledger, local_2)
    first, second = ledger.entry("k0").attempts
    assert (first.cause, second.outcome) == ("device", "done")
    assert result.values == {"pid": second.pid}
    assert first.pid != second.pid


def test_workers_share_the_cores_and_have_groups_of_their_own(
    ledger: Ledger, trace: Path, local_2: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    (result,) = run_jobs(plan(trace, 1), works.threads, ledger, local_2)
    assert result.values is not None
    share = os.environ.get("OMP_NUM_THREADS", str(max(1, cores() // 2)))
    assert result.values["threads"] == share
    assert result.values["group"] == result.values["pid"] != os.getpgid(0)


def test_what_cannot_be_run_is_refused_before_anything_runs(
    ledger: Ledger, trace: Path, inline: Workers
) -> None:
    jobs = plan(trace, 1)
    with pytest.raises(UsageError, match=r"'job 0': payload.rate is inf"):
        plan(trace, 1, rate=float("inf"))
    with pytest.raises(UsageError, match=r"payload.model is a object"):
        plan(trace, 1, model=object())
    with pytest.raises(UsageError, match=r"job key '../x': expected"):
        Job(key="../x", label="x")
    with pytest.raises(UsageError, match="'job 0' and 'job 0' have the same key, k0"):
        run_jobs(jobs * 2, works.square, ledger, inline)
    with pytest.raises(UsageError, match="no module 'nowhere'|has no"):
        run_jobs(jobs, "tests.execution.works:cube", ledger, inline)
    with pytest.raises(UsageError, match="function at the top level of an importable module"):
        run_jobs(jobs, lambda payload, context: {}, ledger, inline)
    with pytest.raises(UsageError, match="stack 2: expected work_many"):
        run_jobs(jobs, works.square, ledger, inline, stack=2)
    assert not ledger.keys()


def test_the_ledger_holds_what_the_docstring_says(
    ledger: Ledger, trace: Path, inline: Workers
) -> None:
    run_jobs(plan(trace, 1), works.square, ledger, inline)
    folder = ledger.folder("k0")
    assert sorted(path.name for path in folder.iterdir()) == [
        "attempts", "claim", "job.json", "result.json", "work"
    ]  # fmt: skip
    described = json.loads((folder / "job.json").read_text())
    assert described["work"] == "tests.execution.works:square"
    attempt = json.loads((folder / "attempts" / "0001.json").read_text())
    assert (attempt["pid"], attempt["executor"], attempt["outcome"]) == (
        os.getpid(), "inline", "done"
    )  # fmt: skip


class DeafWorkers(Workers):
    """An executor whose calls end without having reached a worker that knows this package."""

    name = "deaf"
    width = 1

    def schedule(self, task: object, *arguments: object, timeout_s: float | None = None):
        future: Future[object] = Future()
        future.set_exception(ModuleNotFoundError("No module named 'bench'"))
        return future

    def interrupt(self) -> None:
        pass


def test_an_executor_that_cannot_call_at_all_ends_in_failures(ledger: Ledger, trace: Path) -> None:
    results = run_jobs(plan(trace, 2), works.square, ledger, DeafWorkers())
    assert [(r.state, r.cause, r.attempts) for r in results] == [("failed", "error", 0)] * 2
    assert results[0].message == "deaf: ModuleNotFoundError: No module named 'bench'"


def test_work_that_exits_fails(ledger: Ledger, trace: Path, local_2: Workers) -> None:
    (result,) = run_jobs(plan(trace, 1), works.leaves, ledger, local_2)
    assert (result.state, result.cause, result.attempts) == ("failed", "error", 1)
    assert "the work called sys.exit(3)" in (result.message or "")
