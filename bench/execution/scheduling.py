"""Run the jobs of a plan that have no result in its ledger, on any executor.

The ledger decides everything: after each call the scheduler reads what the worker recorded. So a
killed scheduler, a second one and a batch script with the same jobs all agree. `causes.py` says
what follows from a failure. Attempts count against `max_attempts` of one scheduler run; the next
run of the same command starts a new count. A timeout is retried only if the work folder had
changed, since work that saves nothing would time out again.

If another scheduler is running a job, this one waits for its result or failure, and takes the job
over if that process dies.
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
from bench.execution.performing import Order, Reply, close_attempt, perform

KILL_AFTER_S = 15.0  # a worker that runs this long past its time limit is killed
_POLL_S = (0.05, 2.0)  # shortest and longest time between looks at another scheduler's jobs

EventKind = Literal[
    "cached",  # the ledger had the result before this run
    "started",  # submitted to a worker
    "busy",  # another scheduler is running it; this one waits
    "retried",  # failed, and will be tried again; the message says why
    "done",
    "diverged",
    "failed",
    "corrupt",  # an unreadable file was renamed; the message names it
    "stopping",  # no further job starts; the message says why
]


class Event(NamedTuple):
    """What happened to a job; `finished` of `total` jobs have an outcome."""

    kind: EventKind
    label: str
    key: str
    message: str
    finished: int
    total: int


class JobResult(NamedTuple):
    """The outcome of a job. `values` is None if it failed, and `cause` if it did not."""

    key: str
    label: str
    state: Literal["done", "diverged", "failed"]
    values: Mapping[str, Any] | None  # what the work returned, or the details of a divergence
    message: str | None
    cause: str | None
    attempts: int  # over all scheduler runs
    seconds: float  # duration of the last attempt


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
    """Run the jobs that have no result yet, and return all outcomes in the order of the jobs.

    `work(payload, context)` returns a mapping of finite JSON values. `work_many(payloads,
    contexts)` receives up to `stack` jobs of one group, and returns a mapping or an exception for
    each. Both are functions at the top level of an importable module, or their names
    "package.module:function". `timeout_s` is the limit for one job; that of a stack is multiplied
    by the number of its jobs. `workers` must have been started as a context manager.

    Raises `UsageError` for two jobs with the same key, for work that cannot be imported, and for a
    full disk, after which the same command resumes. Raises `KeyboardInterrupt` after local workers
    have saved their state; a second Ctrl-C does not wait for them.
    """
    if stack > 1 and work_many is None:
        raise UsageError(f"stack {stack}: expected work_many, which runs several jobs in one call")
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
    """One scheduler run. Every job is finished, pending, busy elsewhere, or in flight."""

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
        self._in_flight: dict[Future[tuple[Reply, ...]], tuple[str, ...]] = {}
        self._before: dict[str, int] = {}  # last attempt that does not count
        self._submitted: dict[str, int] = {}  # last attempt at the time of submission
        self._unrecorded: dict[str, int] = {}  # calls that ended without an attempt in the ledger
        self._stopped: str | None = None
        self._interrupted = False
        self._poll_s = _POLL_S[0]
        for path in ledger.register(jobs, order.work):
            self._emit("corrupt", path.parent.name, f"{path} was unreadable and has been renamed")

    def run(self) -> tuple[JobResult, ...]:
        """Run until every job has an outcome, and return the outcomes."""
        try:
            self._read_ledger()
            while self._in_flight or (not self._stopped and len(self._finished) < len(self._jobs)):
                self._submit()
                self._collect()
                self._check_busy()
                self._check_interrupted()
        except KeyboardInterrupt:
            self._shut_down()
            raise
        if self._stopped is not None:
            raise UsageError(
                f"stopped with {len(self._finished)} of {len(self._jobs)} jobs finished: "
                f"{self._stopped}. Fix this and run the same command again; nothing is lost."
            )
        return tuple(self._finished[key] for key in self._jobs)

    def _check_interrupted(self) -> None:
        """Raise `KeyboardInterrupt` if a worker received SIGINT."""
        if self._interrupted:
            raise KeyboardInterrupt

    def _read_ledger(self) -> None:
        """Sort the jobs by their state before the run; expensive jobs run first."""
        by_cost = sorted(self._jobs.values(), key=lambda job: -(job.cost or 0.0))
        for job in by_cost:
            entry = self._ledger.entry(job.key)
            last = entry.attempts[-1].number if entry.attempts else 0
            running = entry.state == "running"
            self._before[job.key] = last - 1 if running and last else last
            if entry.result is not None:
                self._finish(entry, entry.result, cached=True)
            elif running:
                self._wait_for(job.key)
            else:
                self._pending.append(job.key)

    def _submit(self) -> None:
        """Submit pending jobs until the workers are busy."""
        while self._pending and not self._stopped and len(self._in_flight) < self._workers.width:
            keys = self._next_call()
            if not keys:
                continue
            order = replace(self._order, keys=keys, before=tuple(self._before[key] for key in keys))
            limit_s = order.limit_s(len(keys))
            for key in keys:
                self._emit("started", key, "")
            future = self._workers.schedule(
                perform, order, timeout_s=None if limit_s is None else limit_s + KILL_AFTER_S
            )
            self._in_flight[future] = keys

    def _next_call(self) -> tuple[str, ...]:
        """Return the first pending job, and jobs of its group that may run in the same call."""
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
            self._submitted[key] = entry.attempts[-1].number if entry.attempts else 0
        return tuple(keys)

    def _collect(self) -> None:
        """Wait for calls to end, and handle their replies."""
        if not self._in_flight:
            if self._busy and not self._pending:
                time.sleep(self._poll_s)
            return
        ended, _ = wait(
            self._in_flight,
            timeout=self._poll_s if self._busy else _POLL_S[1],
            return_when=FIRST_COMPLETED,
        )
        for future in ended:
            self._handle(future, self._in_flight.pop(future))

    def _handle(self, future: Future[tuple[Reply, ...]], keys: Sequence[str]) -> None:
        """Update the state of the jobs of a call that has ended."""
        try:
            replies = {reply.key: reply for reply in future.result()}
        except (WorkerLost, TaskTimeout) as error:
            cause: Cause = "timeout" if isinstance(error, TaskTimeout) else "lost"
            for key in keys:
                close_attempt(self._ledger, key, cause, str(error))
            replies = {key: Reply(key, "failed", cause, str(error), ()) for key in keys}
        except Exception as error:  # noqa: BLE001  (a failure of the executor, given to the jobs)
            message = f"{self._workers.name}: {type(error).__name__}: {error}"
            replies = {key: Reply(key, "failed", "error", message, ()) for key in keys}
        for key in keys:
            reply = replies[key]
            for path in reply.corrupt:
                self._emit("corrupt", key, f"{path} was unreadable and has been renamed")
            if reply.cause == "disk" and not self._stopped:
                self._stopped = f"{reply.message}"
                self._emit("stopping", key, self._stopped)
            self._interrupted |= reply.cause == "interrupted"
            self._review(key, reply)

    def _review(self, key: str, reply: Reply | None = None) -> None:
        """Sort a job by its present state in the ledger."""
        self._ledger.refresh(key)
        entry = self._ledger.entry(key)
        if entry.result is not None:
            self._finish(entry, entry.result)
            return
        if entry.state == "running":
            self._wait_for(key)
            return
        if entry.attempts and entry.attempts[-1].ended is None:
            close_attempt(self._ledger, key)
            entry = self._ledger.entry(key)
        counted = [a for a in entry.attempts if a.number > self._before[key]]
        is_unrecorded = (
            reply is not None
            and reply.outcome == "failed"
            and (not counted or counted[-1].number <= self._submitted[key])
        )
        if is_unrecorded and reply is not None and reply.cause != "disk":
            self._unrecorded[key] = self._unrecorded.get(key, 0) + 1
            self._ledger.register([self._jobs[key]], self._order.work)
            if self._unrecorded[key] >= self._order.max_attempts:
                self._fail(entry, reply.cause or "error", reply.message)
                return
        if tries.may_run(counted, self._order.max_attempts):
            if counted and not self._stopped:
                self._emit("retried", key, f"{counted[-1].cause}: {counted[-1].message}")
            self._pending.append(key)
        else:
            self._fail(entry, counted[-1].cause or "error", counted[-1].message)

    def _check_busy(self) -> None:
        """Collect the results of other schedulers, and take over the jobs that they left."""
        free = [key for key in self._busy if not self._ledger.is_claimed(key)]
        for key in sorted(free):
            self._busy.discard(key)
            self._review(key)
        self._poll_s = _POLL_S[0] if free else min(2 * self._poll_s, _POLL_S[1])

    def _wait_for(self, key: str) -> None:
        self._busy.add(key)
        self._poll_s = _POLL_S[0]
        self._emit("busy", key, "another process is running it")

    def _finish(self, entry: Entry, result: Result, *, cached: bool = False) -> None:
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
        self._emit("cached" if cached else result.state, entry.key, result.message or "")

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
        self._emit("failed", entry.key, f"{cause}: {message}")

    def _shut_down(self) -> None:
        """Interrupt running work, and wait until it has saved its state if it runs locally."""
        self._workers.interrupt()
        for key in [key for keys in self._in_flight.values() for key in keys]:
            self._emit("stopping", key, "interrupted")
        if not self._workers.own_process:
            return
        for future in wait(self._in_flight).done:
            for key in self._in_flight[future]:
                if future.exception() is not None:
                    close_attempt(self._ledger, key)

    def _emit(self, kind: EventKind, key: str, message: str) -> None:
        if self._on_event is not None:
            job = self._jobs.get(key)
            label = key if job is None else job.label
            self._on_event(Event(kind, label, key, message, len(self._finished), len(self._jobs)))
