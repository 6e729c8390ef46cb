"""How far a ledger is: counts, times, what failed and why. Data only; verbs print it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bench.execution.ledger.ledger import STATES, Entry, Ledger, State


class FailedJob(NamedTuple):
    """A job whose last attempt failed."""

    key: str
    label: str
    cause: str
    message: str
    attempts: int


class RunningJob(NamedTuple):
    """A job that a live process works on."""

    key: str
    label: str
    host: str
    pid: int
    executor: str
    seconds: float  # since its attempt began


class Status(NamedTuple):
    """A ledger at one moment; every job counts in one state."""

    counts: dict[State, int]  # all states, the empty ones too
    total: int
    elapsed_s: float  # since the first attempt began, until the last ended or until now
    worked_s: float  # of all attempts together
    remaining_s: float | None  # at the present number of running jobs; None: nothing to go by
    running: tuple[RunningJob, ...]
    failed: tuple[FailedJob, ...]
    corrupt: tuple[Path, ...]  # unreadable, or moved aside for that


def status(ledger: Ledger, keys: Iterable[str] | None = None) -> Status:
    """The status of some jobs, by default all that the ledger has; changes nothing."""
    entries = ledger.entries(keys)
    counts: dict[State, int] = dict.fromkeys(STATES, 0)
    for entry in entries:
        counts[entry.state] += 1
    attempts = [attempt for entry in entries for attempt in entry.attempts]
    return Status(
        counts=counts,
        total=len(entries),
        elapsed_s=_elapsed_s(entries),
        worked_s=sum(
            a.seconds / a.stack
            for entry in entries
            for a in entry.attempts
            if a.ended is not None or entry.state == "running"
        ),
        remaining_s=_remaining_s(entries) if attempts else None,
        running=tuple(_running(entry) for entry in entries if _at_work(entry)),
        failed=tuple(
            FailedJob(
                entry.key,
                _label(entry),
                entry.attempts[-1].cause or "error",
                entry.attempts[-1].message or "",
                len(entry.attempts),
            )
            for entry in entries
            if entry.state == "failed"
        ),
        corrupt=tuple(path for entry in entries for path in entry.corrupt),
    )


def _elapsed_s(entries: Sequence[Entry]) -> float:
    attempts = [attempt for entry in entries for attempt in entry.attempts]
    if not attempts:
        return 0.0
    begin = min(datetime.fromisoformat(attempt.started) for attempt in attempts)
    ends = [datetime.fromisoformat(a.ended) for a in attempts if a.ended is not None]
    if not ends or any(entry.state == "running" for entry in entries):
        ends = [datetime.now(UTC)]
    return max(0.0, (max(ends) - begin).total_seconds())


def _remaining_s(entries: Sequence[Entry]) -> float | None:
    """Work per cost of what is done, times the cost of what is not, over the running jobs."""
    done = [entry for entry in entries if entry.result is not None and entry.attempts]
    left = [entry for entry in entries if entry.result is None]
    if not done:
        return None
    if not left:
        return 0.0
    spent = sum(entry.attempts[-1].seconds / entry.attempts[-1].stack for entry in done)
    pace = spent / sum(_cost(entry) for entry in done)
    ahead = 0.0
    for entry in left:
        own = pace * _cost(entry)
        ahead += max(0.0, own - entry.attempts[-1].seconds) if _at_work(entry) else own
    return ahead / max(1, sum(_at_work(entry) for entry in left))


def _cost(entry: Entry) -> float:
    cost = None if entry.job is None else entry.job.cost
    return cost if cost is not None and cost > 0 else 1.0


def _at_work(entry: Entry) -> bool:
    return entry.state == "running" and bool(entry.attempts) and entry.attempts[-1].ended is None


def _running(entry: Entry) -> RunningJob:
    last = entry.attempts[-1]
    return RunningJob(entry.key, _label(entry), last.host, last.pid, last.executor, last.seconds)


def _label(entry: Entry) -> str:
    return entry.key if entry.job is None else entry.job.label
