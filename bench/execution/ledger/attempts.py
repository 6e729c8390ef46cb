"""One attempt at a job, as its file says; and what the attempts so far ask for next."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from bench.execution.ledger.causes import NEVER_COUNTED, TRIED_AGAIN, Cause
from bench.execution.ledger.files import Corrupt

TRACEBACK_CHARACTERS = 4000  # of its end

Outcome = Literal["done", "diverged", "failed"]
_OUTCOMES = frozenset({"done", "diverged", "failed"})


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Times are ISO 8601 in UTC; `ended` is None while it works, or when it died working."""

    number: int  # from 1
    started: str
    host: str
    pid: int
    executor: str
    stack: int  # jobs in the same call
    memory_step: int
    folder_state: str  # of the work's folder at the start
    ended: str | None = None
    outcome: Outcome | None = None
    cause: Cause | None = None
    message: str | None = None
    traceback: str | None = None  # its last lines
    progress: bool | None = None  # whether the work's folder changed
    whole_call: bool = False  # the call failed, so it is not known which of its jobs was at fault

    @classmethod
    def begun(
        cls, number: int, *, executor: str, stack: int, memory_step: int, folder_state: str
    ) -> Attempt:
        """An attempt that starts now, in this process."""
        return cls(
            number=number,
            started=now(),
            host=socket.gethostname(),
            pid=os.getpid(),
            executor=executor,
            stack=stack,
            memory_step=memory_step,
            folder_state=folder_state,
        )

    @classmethod
    def read(cls, values: Mapping[str, Any], where: str) -> Attempt:
        """From the object of its file. Raises `Corrupt`."""
        names = {field.name for field in dataclasses.fields(cls)}
        try:
            attempt = cls(**{name: value for name, value in values.items() if name in names})
            well = (
                all(type(n) is int for n in (attempt.number, attempt.stack, attempt.memory_step))
                and attempt.seconds >= 0
                and (attempt.outcome is None) == (attempt.ended is None)
                and (attempt.outcome is None or attempt.outcome in _OUTCOMES)
            )
        except (TypeError, ValueError) as error:
            raise Corrupt(f"{where} is no attempt: {error}") from error
        if not well:
            raise Corrupt(f"{where} is no attempt: its values do not fit together")
        return attempt

    @property
    def seconds(self) -> float:
        """How long it took; until now when it has no end. Never below zero."""
        start = datetime.fromisoformat(self.started)
        end = datetime.now(UTC) if self.ended is None else datetime.fromisoformat(self.ended)
        return max(0.0, (end - start).total_seconds())

    @property
    def asks_for_halving(self) -> bool:
        """Whether a stack must be split: for memory, or to find the job at fault."""
        if self.stack < 2:
            return False
        if self.cause == "timeout":
            return self.whole_call and not self.progress
        return self.cause == "memory" or (self.whole_call and self.cause in ("error", "result"))


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def next_memory_step(attempts: Sequence[Attempt]) -> int:
    """One more for every time that the job ran out of memory alone."""
    if not attempts:
        return 0
    last = attempts[-1]
    return last.memory_step + (last.cause == "memory" and last.stack == 1)


def largest_stack(attempts: Sequence[Attempt], limit: int) -> int:
    """How many jobs may share a call with this one."""
    halves = [max(1, attempt.stack // 2) for attempt in attempts if attempt.asks_for_halving]
    return min([limit, *halves])


def may_run(attempts: Sequence[Attempt], max_attempts: int) -> bool:
    """Whether attempts of one run of the scheduler leave room for another."""
    if not attempts:
        return True
    last = attempts[-1]
    if last.ended is None or last.cause in NEVER_COUNTED or last.asks_for_halving:
        return True
    counted = [a for a in attempts if a.cause not in NEVER_COUNTED and not a.asks_for_halving]
    if len(counted) >= max_attempts:
        return False
    return last.cause in TRIED_AGAIN or (last.cause == "timeout" and bool(last.progress))
