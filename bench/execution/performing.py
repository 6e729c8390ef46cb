"""What a worker does with an order: claim the job, record an attempt, work, record the result.

It is the same in every executor, in a batch script and by hand. Everything is recorded in the
ledger before the worker replies.
"""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from bench.errors import LatentbenchError, UsageError
from bench.execution.ledger import attempts as tries
from bench.execution.ledger.attempts import Attempt
from bench.execution.ledger.causes import Cause, Preempted, TaskTimeout, cause_of, is_result
from bench.execution.ledger.files import Corrupt, folder_state, json_problem
from bench.execution.ledger.ledger import LOST, Ledger, Result
from bench.execution.ledger.work import Job, WorkContext, work_named
from bench.execution.stopping import interruptible, is_preempted, time_limit

Returned = Mapping[str, Any] | BaseException


class ExitedError(LatentbenchError):
    """Raised for work that called `sys.exit` instead of returning."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """Jobs of a ledger for one call of the work."""

    root: str  # folder of the ledger
    keys: tuple[str, ...]
    work: str  # "package.module:function"
    work_many: str | None = None  # the same, for a call with several jobs
    timeout_s: float | None = None  # per job
    max_attempts: int = 3
    before: tuple[int, ...] = ()  # per key, the last attempt that does not count
    executor: str = "inline"
    own_process: bool = False  # whether the process may exit to free a broken GPU context

    def limit_s(self, stack: int) -> float | None:
        """Return the time limit of a call with `stack` jobs, in seconds."""
        return None if self.timeout_s is None else self.timeout_s * stack


class Reply(NamedTuple):
    """The outcome for one key of an order; the ledger holds the details."""

    key: str
    outcome: Literal["done", "diverged", "failed", "busy", "given up"]
    cause: Cause | None
    message: str | None
    corrupt: tuple[str, ...]  # unreadable files that were renamed


class _Ready(NamedTuple):
    job: Job
    attempts: tuple[Attempt, ...]
    corrupt: tuple[str, ...]


class _Started(NamedTuple):
    job: Job
    attempt: Attempt
    context: WorkContext
    corrupt: tuple[str, ...]


def perform(order: Order) -> tuple[Reply, ...]:
    """Carry out an order, and return a reply for each of its keys, in their order.

    Raises nothing but `SystemExit`, after recording it, when a cluster takes the node back.
    """
    ledger = Ledger(order.root)
    replies: dict[str, Reply] = {}
    with ExitStack() as held:
        ready: list[_Ready] = []
        for number, key in enumerate(order.keys):
            before = order.before[number] if order.before else 0
            try:
                claim = ledger.claim(key)
                if claim is None:
                    replies[key] = Reply(key, "busy", None, None, ())
                    continue
                held.enter_context(claim)
                found = _prepare(ledger, key, before, order)
            except (OSError, Corrupt) as error:
                replies[key] = _ledger_failed(key, error)
                continue
            if isinstance(found, Reply):
                replies[key] = found
            else:
                ready.append(found)
        started: list[_Started] = []
        for item in ready:
            try:
                started.append(_start(ledger, item, order, stack=len(ready)))
            except OSError as error:
                replies[item.job.key] = _ledger_failed(item.job.key, error)
        if started:
            replies |= _attempt(ledger, order, started)
    if order.own_process and any(reply.cause == "device" for reply in replies.values()):
        os._exit(70)  # the CUDA context of this process is broken; all is recorded
    return tuple(replies[key] for key in order.keys)


def _prepare(ledger: Ledger, key: str, before: int, order: Order) -> _Ready | Reply:
    """Return a claimed job, or the reply if it is finished or may not be tried again."""
    corrupt = tuple(str(path) for path in ledger.clear_corrupt(key))
    ledger.close_lost(key)
    entry = ledger.entry(key)
    if entry.result is not None:
        return Reply(key, entry.result.state, None, entry.result.message, corrupt)
    if entry.job is None:
        raise Corrupt(
            f"{ledger.folder(key) / 'job.json'} is missing or unreadable: register the job again "
            "with the command that planned it"
        )
    if not tries.may_run([a for a in entry.attempts if a.number > before], order.max_attempts):
        last = entry.attempts[-1]
        return Reply(key, "given up", None, last.message, corrupt)
    return _Ready(entry.job, entry.attempts, corrupt)


def _start(ledger: Ledger, ready: _Ready, order: Order, *, stack: int) -> _Started:
    """Record the start of an attempt."""
    job = ready.job
    folder = ledger.work_folder(job.key)
    attempt = Attempt.begun(
        ledger.next_number(job.key),
        executor=order.executor,
        stack=stack,
        memory_step=tries.next_memory_step(ready.attempts),
        folder_state=folder_state(folder),
    )
    ledger.write_attempt(job.key, attempt)
    limit_s = order.limit_s(stack)
    context = WorkContext(
        key=job.key,
        label=job.label,
        folder=folder,
        attempt=attempt.number,
        memory_step=attempt.memory_step,
        deadline=None if limit_s is None else time.time() + limit_s,
    )
    return _Started(job, attempt, context, ready.corrupt)


def _attempt(ledger: Ledger, order: Order, started: list[_Started]) -> dict[str, Reply]:
    returned, whole_call = _call(ledger, order, started)
    replies = {}
    for item, value in zip(started, returned, strict=True):
        try:
            reply = _record(ledger, item, value, whole_call=whole_call)
        except OSError as error:
            reply = _ledger_failed(item.job.key, error)
        replies[item.job.key] = reply._replace(corrupt=item.corrupt)
    return replies


def _call(ledger: Ledger, order: Order, started: list[_Started]) -> tuple[Sequence[Returned], bool]:
    """Call the work; return its value or exception per job, and whether the whole call failed."""
    limit_s = order.limit_s(len(started))
    try:
        with _recording_preemption(ledger, started), interruptible(), time_limit(limit_s):
            if len(started) == 1:
                return [work_named(order.work)(started[0].job.payload, started[0].context)], False
            many = order.work_many or ""
            returned = work_named(many)(
                [item.job.payload for item in started], [item.context for item in started]
            )
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  (recorded with its cause)
        return [error] * len(started), True
    if len(returned) != len(started):
        wrong = UsageError(f"{many} returned {len(returned)} results for {len(started)} jobs")
        return [wrong] * len(started), True
    return list(returned), False


@contextmanager
def _recording_preemption(ledger: Ledger, started: list[_Started]) -> Iterator[None]:
    """Record the end of attempts when a cluster's signal handler exits the process."""
    try:
        yield
    except SystemExit as error:
        if not is_preempted():
            raise ExitedError(f"the work called sys.exit({error.code!r})") from error
        for item in started:
            _record(ledger, item, Preempted("the cluster took the node back"), whole_call=True)
        raise


def _record(ledger: Ledger, item: _Started, value: Returned, *, whole_call: bool) -> Reply:
    """Write how an attempt ended, the result first."""
    key, ended = item.job.key, tries.now()
    changed = folder_state(item.context.folder) != item.attempt.folder_state
    end = replace(item.attempt, ended=ended, progress=changed, whole_call=whole_call)
    is_unclear = whole_call and item.attempt.stack > 1  # any job of the stack may have failed
    if isinstance(value, BaseException) and (is_unclear or not is_result(value)):
        end = replace(end, cause=cause_of(value), traceback=_traceback(value))
        return _fail(ledger, key, end, _message(value))
    diverged = isinstance(value, BaseException)
    values = getattr(value, "details", {}) if isinstance(value, BaseException) else value
    problem = (
        json_problem(values, "result")
        if isinstance(values, Mapping)
        else f"the result is a {type(values).__name__}, not a mapping"
    )
    if problem is not None:
        message = f"job {item.job.label!r} ({key}): {problem}; a result holds finite JSON values"
        return _fail(ledger, key, replace(end, cause="result", whole_call=False), message)
    result = Result(
        state="diverged" if diverged else "done",
        values=dict(values),
        message=str(value) if diverged else None,
        attempt=end.number,
        seconds=end.seconds,
        ended=ended,
    )
    with suppress(FileExistsError):  # a node that seemed dead has finished; its result stays
        ledger.write_result(key, result)
    ledger.write_attempt(key, replace(end, outcome=result.state, message=result.message))
    return Reply(key, result.state, None, result.message, ())


def _fail(ledger: Ledger, key: str, end: Attempt, message: str) -> Reply:
    ledger.write_attempt(key, replace(end, outcome="failed", message=message))
    return Reply(key, "failed", end.cause, message, ())


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, TaskTimeout | UsageError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-tries.TRACEBACK_CHARACTERS :]


def _ledger_failed(key: str, error: Exception) -> Reply:
    """Return the reply for a ledger that could not be read or written."""
    cause: Cause = "disk" if isinstance(error, OSError) else "error"
    message = str(error)
    if isinstance(error, FileNotFoundError):
        host = socket.gethostname()
        message += f" on {host}; every worker must see the ledger at the same path"
    return Reply(key, "failed", cause, message, ())


def close_attempt(ledger: Ledger, key: str, cause: Cause = "lost", message: str = LOST) -> bool:
    """Record the end of a lost worker's attempt; return False if the job is claimed."""
    claim = ledger.claim(key)
    if claim is None:
        return False
    with claim:
        ledger.close_lost(key, cause, message)
    return True
