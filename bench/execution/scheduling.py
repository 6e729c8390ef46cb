"""Run the jobs of a plan that its ledger does not have yet, wherever work runs.

The ledger decides everything: after each call the scheduler reads what the worker recorded, so
that a killed scheduler, a second one and a batch script that does the same jobs all agree. What
follows from a failure is in causes.py; an attempt counts against `max_attempts` of this run of the
scheduler, and the same command later begins a new count. A timeout is tried again only when the
work's folder had changed, since work that saves nothing would only time out again.

A job that another scheduler works on is waited for: its result, or its failure, is taken, and if
its process dies the job is taken over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from bench.errors import UsageError
from bench.execution.executors.workers import Workers
from bench.execution.ledger import attempts as tries
from bench.execution.ledger.causes import Cause, TaskTimeout, WorkerLost
from bench.execution.ledger.ledger import Entry, Ledger, Result
from bench.execution.ledger.work import Job, StackedWork, Work, work_name
from bench.execution.performing import Order, Reply, perform, settle

KILL_AFTER_S = 15.0  # past its time limit, a worker that did not stop the work itself is killed
_POLL_S = (0.05, 2.0)  # looking after jobs of another scheduler: at first, and at most

EventKind = Literal[
    "kept",  # the ledger had the result before this run
    "begun",  # handed to a worker
    "busy",  # another scheduler has it: waiting
    "again",  # failed, and is tried again; the message says why
    "done",
    "diverged",
    "failed",
    "corrupt",  # a file was moved aside; the message names it
    "stopping",  # nothing more is begun; the message says why
]


class Event(NamedTuple):
    """Something happened to a job; `finished` of `total` jobs have an outcome."""

    kind: EventKind
    label: str
    key: str
    message: str
    finished: int
    total: int


class JobResult(NamedTuple):
    """The outcome of a job. `values` is None for a failed one; `cause` for any other."""

    key: str
    label: str
    state: Literal["done", "diverged", "failed"]
    values: Mapping[str, Any] | None  # what the work returned; details of a divergence
    message: str | None
    cause: str | None
    attempts: int  # of all runs of the scheduler
    seconds: float  # of the last attempt


def run_jobs(
    jobs: Iterable[Job],
    work: str | Work,
    ledger: Ledger,
    workers: Workers,
    *,
    work_many: str | StackedWork | None = None,
    stack: int = 1,
    timeout_s: float | None = None,
    max_attempts: int = 3,
    on_event: Callable[[Event], None] | None = None,
) -> tuple[JobResult, ...]:
    """Do what is not done; the outcomes in the order of the jobs, however they arrived.

    `work(payload, context)` returns a mapping of finite JSON values; `work_many(payloads,
    contexts)` returns a mapping or an exception for each, and gets up to `stack` jobs of one group
    at a time. Both are functions at the top of an importable module, or their dotted names.
    `timeout_s` is for one job; a stack may take as many times that. `workers` are already entered.

    Raises `UsageError` (two jobs of one key, work that cannot be found, a full disk: everything
    stays resumable) and `KeyboardInterrupt`, when local workers have saved what they were at; a
    second Ctrl-C does not wait for them.
    """
    if stack > 1 and work_many is None:
        raise UsageError(f"stack {stack}: expected work_many, which does several jobs in one call")
    if stack < 1 or max_attempts < 1:
        raise UsageError(f"stack {stack}, max_attempts {max_attempts}: expected 1 or more of each")
    run = _Run(
        jobs=list(jobs),
        order=Order(
            root=str(ledger.root.resolve()),
            keys=(),
            work=work_name(work),
            work_many=None if work_many is None else work_name(work_many),
            timeout_s=timeout_s,
            max_attempts=max_attempts,
            executor=workers.name,
            own_process=workers.own_process,
        ),
        ledger=ledger,
        workers=workers,
        stack=stack,
        on_event=on_event,
    )
    return run.run()


class _Run:
    """The state of one run: every job is finished, pending, busy elsewhere or in flight."""

    def __init__(
        self,
        *,
        jobs: list[Job],
        order: Order,
        ledger: Ledger,
        workers: Workers,
        stack: int,
        on_event: Callable[[Event], None] | None,
    ) -> None:
        self._jobs = {job.key: job for job in jobs}
        self._order = order
        self._ledger = ledger
        self._workers = workers
        self._stack = stack
        self._on_event = on_event
        self._finished: dict[str, JobResult] = {}
        self._pending: list[str] = []
        self._busy: set[str] = set()
        self._flying: dict[Future[tuple[Reply, ...]], tuple[str, ...]] = {}
        self._before: dict[str, int] = {}  # last attempt that does not count
        self._handed: dict[str, int] = {}  # last attempt when it was handed over
        self._unheard: dict[str, int] = {}  # calls that ended without an attempt in the ledger
        self._stopped: str | None = None
        self._interrupted = False
        self._poll_s = _POLL_S[0]
        for path in ledger.register(jobs, order.work):
            self._tell("corrupt", path.parent.name, f"{path} was not readable, moved aside")

    def run(self) -> tuple[JobResult, ...]:
        """Until every job has an outcome."""
        try:
            self._look()
            while self._flying or (not self._stopped and len(self._finished) < len(self._jobs)):
                self._hand_over()
                self._collect()
                self._look_after_busy()
                self._heed_interrupt()
        except KeyboardInterrupt:
            self._wind_down()
            raise
        if self._stopped is not None:
            raise UsageError(
                f"stopped with {len(self._finished)} of {len(self._jobs)} jobs finished: "
                f"{self._stopped}. Put that right and run the same command again; nothing is lost."
            )
        return tuple(self._finished[key] for key in self._jobs)

    def _heed_interrupt(self) -> None:
        if self._interrupted:  # a worker was, so we are
            raise KeyboardInterrupt

    def _look(self) -> None:
        """Sort the jobs by what the ledger says before the run; dear ones first."""
        by_cost = sorted(self._jobs.values(), key=lambda job: -(job.cost or 0.0))
        for job in by_cost:
            entry = self._ledger.entry(job.key)
            last = entry.attempts[-1].number if entry.attempts else 0
            running = entry.state == "running"
            self._before[job.key] = last - 1 if running and last else last
            if entry.result is not None:
                self._finish(entry, entry.result, kept=True)
            elif running:
                self._wait_for(job.key)
            else:
                self._pending.append(job.key)

    def _hand_over(self) -> None:
        while self._pending and not self._stopped and len(self._flying) < self._workers.width:
            keys = self._next_call()
            if not keys:
                continue
            order = replace(self._order, keys=keys, before=tuple(self._before[key] for key in keys))
            limit_s = order.limit_s(len(keys))
            for key in keys:
                self._tell("begun", key, "")
            future = self._workers.schedule(
                perform, order, timeout_s=None if limit_s is None else limit_s + KILL_AFTER_S
            )
            self._flying[future] = keys

    def _next_call(self) -> tuple[str, ...]:
        """The first job that is still to do, and those of its group that may go with it."""
        keys: list[str] = []
        limit, group = 1, None
        for key in list(self._pending):
            if keys and (len(keys) >= limit or group is None):
                break
            if keys and self._jobs[key].group != group:
                continue
            entry = self._ledger.entry(key)
            if entry.result is not None or entry.state == "running":
                self._pending.remove(key)
                self._review(key)
                continue
            own = tries.largest_stack(entry.attempts, self._stack)
            if keys and own <= len(keys):
                continue
            limit = min(limit, own) if keys else own
            group = self._jobs[key].group
            keys.append(key)
            self._pending.remove(key)
            self._handed[key] = entry.attempts[-1].number if entry.attempts else 0
        return tuple(keys)

    def _collect(self) -> None:
        if not self._flying:
            if self._busy and not self._pending:
                time.sleep(self._poll_s)
            return
        ended, _ = wait(
            self._flying,
            timeout=self._poll_s if self._busy else _POLL_S[1],
            return_when=FIRST_COMPLETED,
        )
        for future in ended:
            self._take(future, self._flying.pop(future))

    def _take(self, future: Future[tuple[Reply, ...]], keys: Sequence[str]) -> None:
        try:
            replies = {reply.key: reply for reply in future.result()}
        except (WorkerLost, TaskTimeout) as error:
            cause: Cause = "timeout" if isinstance(error, TaskTimeout) else "lost"
            for key in keys:
                settle(self._ledger, key, cause, str(error))
            replies = {key: Reply(key, "failed", cause, str(error), ()) for key in keys}
        except Exception as error:  # noqa: BLE001  (the executor failed; the jobs say so)
            message = f"{self._workers.name}: {type(error).__name__}: {error}"
            replies = {key: Reply(key, "failed", "error", message, ()) for key in keys}
        for key in keys:
            reply = replies[key]
            for path in reply.aside:
                self._tell("corrupt", key, f"{path} was not readable, moved aside")
            if reply.cause == "disk" and not self._stopped:
                self._stopped = f"{reply.message}"
                self._tell("stopping", key, self._stopped)
            self._interrupted |= reply.cause == "interrupted"
            self._review(key, reply)

    def _review(self, key: str, reply: Reply | None = None) -> None:
        """Sort a job that is in no list by what the ledger says now."""
        self._ledger.look_anew(key)
        entry = self._ledger.entry(key)
        if entry.result is not None:
            self._finish(entry, entry.result)
            return
        if entry.state == "running":
            self._wait_for(key)
            return
        if entry.attempts and entry.attempts[-1].ended is None:
            settle(self._ledger, key)
            entry = self._ledger.entry(key)
        fresh = [a for a in entry.attempts if a.number > self._before[key]]
        silent = (
            reply is not None
            and reply.outcome == "failed"
            and (not fresh or fresh[-1].number <= self._handed[key])
        )
        if silent and reply is not None and reply.cause != "disk":
            self._unheard[key] = self._unheard.get(key, 0) + 1
            self._ledger.register([self._jobs[key]], self._order.work)
            if self._unheard[key] >= self._order.max_attempts:
                self._fail(entry, reply.cause or "error", reply.message)
                return
        if tries.may_run(fresh, self._order.max_attempts):
            if fresh and not self._stopped:
                self._tell("again", key, f"{fresh[-1].cause}: {fresh[-1].message}")
            self._pending.append(key)
        else:
            self._fail(entry, fresh[-1].cause or "error", fresh[-1].message)

    def _look_after_busy(self) -> None:
        """Take the results of other schedulers; take over what they left."""
        free = [key for key in self._busy if not self._ledger.is_claimed(key)]
        for key in sorted(free):
            self._busy.discard(key)
            self._review(key)
        self._poll_s = _POLL_S[0] if free else min(2 * self._poll_s, _POLL_S[1])

    def _wait_for(self, key: str) -> None:
        self._busy.add(key)
        self._poll_s = _POLL_S[0]
        self._tell("busy", key, "another process works on it")

    def _finish(self, entry: Entry, result: Result, *, kept: bool = False) -> None:
        self._finished[entry.key] = JobResult(
            entry.key,
            self._jobs[entry.key].label,
            result.state,
            result.values,
            result.message,
            None,
            len(entry.attempts),
            result.seconds,
        )
        self._tell("kept" if kept else result.state, entry.key, result.message or "")

    def _fail(self, entry: Entry, cause: str, message: str | None) -> None:
        self._finished[entry.key] = JobResult(
            entry.key,
            self._jobs[entry.key].label,
            "failed",
            None,
            message,
            cause,
            len(entry.attempts),
            entry.attempts[-1].seconds if entry.attempts else 0.0,
        )
        self._tell("failed", entry.key, f"{cause}: {message}")

    def _wind_down(self) -> None:
        """Ask running work to save; wait for it where it is ours."""
        self._workers.interrupt()
        self._tell_all("stopping", "interrupted")
        if not self._workers.own_process:
            return
        for future in wait(self._flying).done:
            for key in self._flying[future]:
                if future.exception() is not None:
                    settle(self._ledger, key)

    def _tell(self, kind: EventKind, key: str, message: str) -> None:
        if self._on_event is not None:
            job = self._jobs.get(key)
            label = key if job is None else job.label
            self._on_event(Event(kind, label, key, message, len(self._finished), len(self._jobs)))

    def _tell_all(self, kind: EventKind, message: str) -> None:
        for key in [key for keys in self._flying.values() for key in keys]:
            self._tell(kind, key, message)
