"""Attempts at a job, and what follows from the attempts so far."""

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

TRACEBACK_CHARACTERS = 4000  # the last ones are recorded

Outcome = Literal["done", "diverged", "failed"]
_OUTCOMES = frozenset({"done", "diverged", "failed"})


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt at a job. Times are ISO 8601 in UTC.

    `ended` is None while the attempt runs, and after its process died.
    """

    number: int  # from 1
    started: str
    host: str
    pid: int
    executor: str
    stack: int  # number of jobs in the same call
    memory_step: int
    folder_state: str  # digest of the work folder at the start
    ended: str | None = None
    outcome: Outcome | None = None
    cause: Cause | None = None
    message: str | None = None
    traceback: str | None = None  # its last lines
    progress: bool | None = None  # whether the work folder changed
    whole_call: bool = False  # the call failed, and any of its jobs may have caused it

    @classmethod
    def begun(
        cls, number: int, *, executor: str, stack: int, memory_step: int, folder_state: str
    ) -> Attempt:
        """Return an attempt that starts now, in this process."""
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
        """Return the attempt that a JSON object describes. Raises `Corrupt`, naming `where`."""
        names = {field.name for field in dataclasses.fields(cls)}
        try:
            attempt = cls(**{name: value for name, value in values.items() if name in names})
            consistent = (
                all(type(n) is int for n in (attempt.number, attempt.stack, attempt.memory_step))
                and attempt.seconds >= 0
                and (attempt.outcome is None) == (attempt.ended is None)
                and (attempt.outcome is None or attempt.outcome in _OUTCOMES)
            )
        except (TypeError, ValueError) as error:
            raise Corrupt(f"{where} does not describe an attempt: {error}") from error
        if not consistent:
            raise Corrupt(f"{where} does not describe an attempt: its values are inconsistent")
        return attempt

    @property
    def seconds(self) -> float:
        """The duration in seconds, until now if the attempt has no end; never negative."""
        start = datetime.fromisoformat(self.started)
        end = datetime.now(UTC) if self.ended is None else datetime.fromisoformat(self.ended)
        return max(0.0, (end - start).total_seconds())

    @property
    def asks_for_halving(self) -> bool:
        """Whether its stack must be split, to save memory or to find the failing job."""
        if self.stack < 2:
            return False
        if self.cause == "timeout":
            return self.whole_call and not self.progress
        return self.cause == "memory" or (self.whole_call and self.cause in ("error", "result"))


def now() -> str:
    """Return the time in UTC, as ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def next_memory_step(attempts: Sequence[Attempt]) -> int:
    """Return how often the job has run out of memory alone."""
    if not attempts:
        return 0
    last = attempts[-1]
    return last.memory_step + (last.cause == "memory" and last.stack == 1)


def largest_stack(attempts: Sequence[Attempt], limit: int) -> int:
    """Return how many jobs, at most `limit`, may run in one call together with this one."""
    halves = [max(1, attempt.stack // 2) for attempt in attempts if attempt.asks_for_halving]
    return min([limit, *halves])


def may_run(attempts: Sequence[Attempt], max_attempts: int) -> bool:
    """Return whether a job may be tried again after these attempts of one scheduler run."""
    if not attempts:
        return True
    last = attempts[-1]
    if last.ended is None or last.cause in NEVER_COUNTED or last.asks_for_halving:
        return True
    counted = [a for a in attempts if a.cause not in NEVER_COUNTED and not a.asks_for_halving]
    if len(counted) >= max_attempts:
        return False
    return last.cause in TRIED_AGAIN or (last.cause == "timeout" and bool(last.progress))
