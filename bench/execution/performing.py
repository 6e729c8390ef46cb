"""What a worker does with an order: claim, attempt, work, result. The same in every executor, in a
batch script and by hand; what happened is in the ledger before the worker answers.
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
    """Work that ended its process instead of returning."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """Jobs of a ledger for one call of the work."""

    root: str  # of the ledger
    keys: tuple[str, ...]
    work: str  # "package.module:function"
    work_many: str | None = None  # for several keys
    timeout_s: float | None = None  # for each job; a call with several may take as many times that
    max_attempts: int = 3
    before: tuple[int, ...] = ()  # number of the last attempt of each key that does not count
    executor: str = "inline"
    own_process: bool = False  # whether the process may end itself to free a broken GPU context

    def limit_s(self, stack: int) -> float | None:
        """For a call with so many jobs."""
        return None if self.timeout_s is None else self.timeout_s * stack


class Reply(NamedTuple):
    """What became of one key of an order; the whole story is in the ledger."""

    key: str
    outcome: Literal["done", "diverged", "failed", "busy", "given up"]
    cause: Cause | None
    message: str | None
    aside: tuple[str, ...]  # corrupt files that were moved


class _Ready(NamedTuple):
    job: Job
    attempts: tuple[Attempt, ...]
    aside: tuple[str, ...]


class _Begun(NamedTuple):
    job: Job
    attempt: Attempt
    context: WorkContext
    aside: tuple[str, ...]


def perform(order: Order) -> tuple[Reply, ...]:
    """Carry out an order; a reply for each key, in their order. Raises only `SystemExit` when a
    cluster takes the node back, which is recorded first.
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
                found = _ready(ledger, key, before, order)
            except (OSError, Corrupt) as error:
                replies[key] = _unwritten(key, error)
                continue
            if isinstance(found, Reply):
                replies[key] = found
            else:
                ready.append(found)
        begun: list[_Begun] = []
        for item in ready:
            try:
                begun.append(_begin(ledger, item, order, stack=len(ready)))
            except OSError as error:
                replies[item.job.key] = _unwritten(item.job.key, error)
        if begun:
            replies |= _attempted(ledger, order, begun)
    if order.own_process and any(reply.cause == "device" for reply in replies.values()):
        os._exit(70)  # the CUDA context of this process is lost; the ledger has the rest
    return tuple(replies[key] for key in order.keys)


def _ready(ledger: Ledger, key: str, before: int, order: Order) -> _Ready | Reply:
    """A job whose claim is held, unless it is finished or has had all its attempts."""
    aside = tuple(str(path) for path in ledger.clear_corrupt(key))
    ledger.close_lost(key)
    entry = ledger.entry(key)
    if entry.result is not None:
        return Reply(key, entry.result.state, None, entry.result.message, aside)
    if entry.job is None:
        raise Corrupt(
            f"{ledger.folder(key) / 'job.json'} is missing or unreadable: register the job again "
            "with the command that planned it"
        )
    if not tries.may_run([a for a in entry.attempts if a.number > before], order.max_attempts):
        last = entry.attempts[-1]
        return Reply(key, "given up", None, last.message, aside)
    return _Ready(entry.job, entry.attempts, aside)


def _begin(ledger: Ledger, ready: _Ready, order: Order, *, stack: int) -> _Begun:
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
    return _Begun(job, attempt, context, ready.aside)


def _attempted(ledger: Ledger, order: Order, begun: list[_Begun]) -> dict[str, Reply]:
    returned, whole_call = _worked(ledger, order, begun)
    replies = {}
    for item, value in zip(begun, returned, strict=True):
        try:
            reply = _recorded(ledger, item, value, whole_call=whole_call)
        except OSError as error:
            reply = _unwritten(item.job.key, error)
        replies[item.job.key] = reply._replace(aside=item.aside)
    return replies


def _worked(ledger: Ledger, order: Order, begun: list[_Begun]) -> tuple[Sequence[Returned], bool]:
    """What the work gave for each job, and whether one failure stands for all of them."""
    limit_s = order.limit_s(len(begun))
    try:
        with _preemption_recorded(ledger, begun), interruptible(), time_limit(limit_s):
            if len(begun) == 1:
                return [work_named(order.work)(begun[0].job.payload, begun[0].context)], False
            many = order.work_many or ""
            given = work_named(many)(
                [item.job.payload for item in begun], [item.context for item in begun]
            )
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  (recorded, each by its cause)
        return [error] * len(begun), True
    if len(given) != len(begun):
        wrong = UsageError(f"{many} gave {len(given)} results for {len(begun)} jobs")
        return [wrong] * len(begun), True
    return list(given), False


@contextmanager
def _preemption_recorded(ledger: Ledger, begun: list[_Begun]) -> Iterator[None]:
    """Record the end of attempts that a cluster's signal handler ends by leaving the process."""
    try:
        yield
    except SystemExit as error:
        if not is_preempted():
            raise ExitedError(f"the work left by sys.exit({error.code!r})") from error
        for item in begun:
            _recorded(ledger, item, Preempted("the cluster took the node back"), whole_call=True)
        raise


def _recorded(ledger: Ledger, item: _Begun, value: Returned, *, whole_call: bool) -> Reply:
    """Write how an attempt ended, the result first."""
    key, ended = item.job.key, tries.now()
    changed = folder_state(item.context.folder) != item.attempt.folder_state
    end = replace(item.attempt, ended=ended, progress=changed, whole_call=whole_call)
    blamed = whole_call and item.attempt.stack > 1  # a stack cannot tell which of its jobs it was
    if isinstance(value, BaseException) and (blamed or not is_result(value)):
        end = replace(end, cause=cause_of(value), traceback=_trace(value))
        return _failed(ledger, key, end, _message(value))
    diverged = isinstance(value, BaseException)
    values = getattr(value, "details", {}) if isinstance(value, BaseException) else value
    problem = (
        json_problem(values, "result")
        if isinstance(values, Mapping)
        else f"the result is a {type(values).__name__}, not a mapping"
    )
    if problem is not None:
        message = f"job {item.job.label!r} ({key}): {problem}; a result holds finite JSON values"
        return _failed(ledger, key, replace(end, cause="result", whole_call=False), message)
    result = Result(
        state="diverged" if diverged else "done",
        values=dict(values),
        message=str(value) if diverged else None,
        attempt=end.number,
        seconds=end.seconds,
        ended=ended,
    )
    with suppress(FileExistsError):  # a node that was thought dead had finished: the first stays
        ledger.write_result(key, result)
    ledger.write_attempt(key, replace(end, outcome=result.state, message=result.message))
    return Reply(key, result.state, None, result.message, ())


def _failed(ledger: Ledger, key: str, end: Attempt, message: str) -> Reply:
    ledger.write_attempt(key, replace(end, outcome="failed", message=message))
    return Reply(key, "failed", end.cause, message, ())


def _message(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, TaskTimeout | UsageError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-tries.TRACEBACK_CHARACTERS :]


def _unwritten(key: str, error: Exception) -> Reply:
    """The ledger itself could not be written or read."""
    cause: Cause = "disk" if isinstance(error, OSError) else "error"
    message = str(error)
    if isinstance(error, FileNotFoundError):
        message += f" on {socket.gethostname()}; every worker must see the ledger at one path"
    return Reply(key, "failed", cause, message, ())


def settle(ledger: Ledger, key: str, cause: Cause = "lost", message: str = LOST) -> bool:
    """Close the attempt of a worker that is gone; False when somebody holds the claim."""
    claim = ledger.claim(key)
    if claim is None:
        return False
    with claim:
        ledger.close_lost(key, cause, message)
    return True
