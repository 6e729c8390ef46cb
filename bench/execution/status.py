"""The status of a ledger: counts, times, running and failed jobs. Verbs print it."""

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
    """A job that a live process is working on."""

    key: str
    label: str
    host: str
    pid: int
    executor: str
    seconds: float  # since the attempt started


class Status(NamedTuple):
    """The state of a ledger at one moment; every job is in one state."""

    counts: dict[State, int]  # every state, also those without jobs
    total: int
    elapsed_s: float  # from the first attempt until the last one ended, or until now
    worked_s: float  # sum over all attempts
    remaining_s: float | None  # with the present number of running jobs; None if unknown
    running: tuple[RunningJob, ...]
    failed: tuple[FailedJob, ...]
    corrupt: tuple[Path, ...]  # unreadable files, including those renamed earlier


def status(ledger: Ledger, keys: Iterable[str] | None = None) -> Status:
    """Return the status of some jobs, by default all, and change nothing."""
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
        running=tuple(_running_job(entry) for entry in entries if _is_running(entry)),
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
    """Estimate the remaining time from the seconds per unit of cost of the finished jobs."""
    done = [entry for entry in entries if entry.result is not None and entry.attempts]
    open_entries = [entry for entry in entries if entry.result is None]
    if not done:
        return None
    if not open_entries:
        return 0.0
    spent_s = sum(entry.attempts[-1].seconds / entry.attempts[-1].stack for entry in done)
    seconds_per_cost = spent_s / sum(_cost(entry) for entry in done)
    remaining_s = 0.0
    for entry in open_entries:
        own_s = seconds_per_cost * _cost(entry)
        running = _is_running(entry)
        remaining_s += max(0.0, own_s - entry.attempts[-1].seconds) if running else own_s
    return remaining_s / max(1, sum(map(_is_running, open_entries)))


def _cost(entry: Entry) -> float:
    cost = None if entry.job is None else entry.job.cost
    return cost if cost is not None and cost > 0 else 1.0


def _is_running(entry: Entry) -> bool:
    return entry.state == "running" and bool(entry.attempts) and entry.attempts[-1].ended is None


def _running_job(entry: Entry) -> RunningJob:
    last = entry.attempts[-1]
    return RunningJob(entry.key, _label(entry), last.host, last.pid, last.executor, last.seconds)


def _label(entry: Entry) -> str:
    return entry.key if entry.job is None else entry.job.label
