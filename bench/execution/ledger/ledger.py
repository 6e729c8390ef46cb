"""The ledger: jobs and their results on disk, one folder per job.

    ROOT/jobs/KEY/job.json             label, payload, group, cost, name of the work
                  claim                locked by the working process (claims.py)
                  attempts/0001.json   every attempt: when, where, how and why it ended
                  work/                folder of the work, with its checkpoints
                  result.json          written once, never overwritten

Only the holder of the claim writes attempts and the result. So each job is done once, however many
schedulers, batch scripts and people work on the ledger. An unreadable file is renamed to a name
ending in .corrupt and replaced: a result is computed again, and a `job.json` is written again from
the plan. A valid result survives damage to the other files.

A `job.json` that an earlier version wrote may name work that has moved. Its result is still read;
planning the job again writes the present name (see `bench.execution.ledger.work.work_named`).
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from bench.errors import UsageError
from bench.execution.ledger.attempts import Attempt, now
from bench.execution.ledger.causes import NEVER_COUNTED, Cause
from bench.execution.ledger.claims import Claim, claim_within, is_claimed
from bench.execution.ledger.files import (
    CORRUPT,
    Corrupt,
    folder_state,
    json_digest,
    read_json,
    set_aside,
    write_json,
)
from bench.execution.ledger.work import Job

_T = TypeVar("_T")

State = Literal["todo", "running", "done", "diverged", "failed", "corrupt"]
STATES: tuple[State, ...] = ("todo", "running", "done", "diverged", "failed", "corrupt")
PROBE_S = 0.3  # longer than `is_claimed` holds a lock
REGISTER_LOCK_S = 60.0
LOST = "the working process is gone: it was killed, ran out of memory, or its node is down"


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a job: its values, or the message and details of a divergence."""

    state: Literal["done", "diverged"]
    values: dict[str, Any]
    message: str | None
    attempt: int
    seconds: float  # duration of that attempt
    ended: str


class Entry(NamedTuple):
    """Everything that the ledger holds about one job."""

    key: str
    state: State
    job: Job | None  # None if it was never registered or is unreadable
    work: str | None  # "package.module:function"
    result: Result | None
    attempts: tuple[Attempt, ...]  # the readable ones, oldest first
    corrupt: tuple[Path, ...]  # unreadable files, including those renamed earlier


class Changed(NamedTuple):
    """A label whose job in the plan differs from the one in the ledger."""

    label: str
    old_key: str
    new_key: str


class Comparison(NamedTuple):
    """A plan compared with a ledger; keys in the order of the plan, then of the ledger."""

    done: tuple[str, ...]  # jobs with a result, including divergence
    to_run: tuple[str, ...]
    orphans: tuple[str, ...]  # in the ledger, but not in the plan by key or by label
    changed: tuple[Changed, ...]


class Ledger:
    """The jobs below a folder, which is created when the first job is registered."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def folder(self, key: str) -> Path:
        """Return the folder of a job."""
        return self.root / "jobs" / key

    def work_folder(self, key: str) -> Path:
        """Return the folder in which the work of a job keeps its files."""
        return self.folder(key) / "work"

    def keys(self) -> tuple[str, ...]:
        """Return the keys of all jobs, sorted."""
        with _explain_permissions(), suppress(FileNotFoundError, NotADirectoryError):
            return tuple(
                sorted(
                    path.name
                    for path in (self.root / "jobs").iterdir()
                    if path.is_dir()
                    and not path.name.endswith(CORRUPT)
                    and not path.name.startswith(".")
                )
            )
        return ()

    def register(self, jobs: Iterable[Job], work: str) -> tuple[Path, ...]:
        """Write the descriptions of jobs that are new or changed, with `work` as their work.

        Returns the unreadable files that were renamed. Raises `UsageError` if two jobs have the
        same key.
        """
        jobs = list(jobs)
        if len({job.key for job in jobs}) < len(jobs):
            raise UsageError(_duplicate_key(jobs))
        (self.root / "jobs").mkdir(parents=True, exist_ok=True)
        corrupt: list[Path] = []
        path = self.root / "register.lock"
        lock = claim_within(path, REGISTER_LOCK_S)
        if lock is None:
            raise UsageError(
                f"{path} has been locked by another process for {REGISTER_LOCK_S:.0f} s; wait "
                "until it has registered its jobs, and try again"
            )
        with lock, _explain_permissions():
            for job in jobs:
                corrupt += self._register(job, work)
        return tuple(corrupt)

    def claim(self, key: str) -> Claim | None:
        """Return the right to work on a job, or None if another process or thread has it."""
        path = self.folder(key) / "claim"
        if path.is_dir():
            set_aside(path)
        return claim_within(path, PROBE_S)

    def is_claimed(self, key: str) -> bool:
        """Return whether a live process works on the job."""
        return is_claimed(self.folder(key) / "claim")

    def refresh(self, key: str) -> None:
        """Make an NFS client read a job's folder again, by changing the folder.

        Otherwise the client may not see for a minute what another node has just written.
        """
        with suppress(OSError):  # a read-only ledger
            for folder in (self.folder(key), self.folder(key) / "attempts"):
                path = folder / f".look.{os.getpid()}.{threading.get_ident()}"
                path.touch()
                path.unlink()

    def entry(self, key: str) -> Entry:
        """Read one job and change nothing.

        Raises `UsageError` for a file that this user may not read.
        """
        with _explain_permissions():
            return self._entry(key)

    def _entry(self, key: str) -> Entry:
        folder = self.folder(key)
        corrupt = [*folder.glob(f"*{CORRUPT}"), *folder.glob(f"attempts/*{CORRUPT}")]
        # The claim is read first: if the attempt ends meanwhile, its result is read below.
        claimed = self.is_claimed(key)
        described = _unless_corrupt(
            lambda: _read_job(folder / "job.json", key), folder / "job.json", corrupt
        )
        attempts, damaged = self._attempts(key)
        before = len(corrupt)
        result = _unless_corrupt(
            lambda: _read_result(folder / "result.json", key), folder / "result.json", corrupt
        )
        broken = len(corrupt) > before or (described is None and (folder / "job.json").exists())
        job, work = described or (None, None)
        state = _state(result, attempts, claimed=claimed, broken=broken or bool(damaged))
        return Entry(key, state, job, work, result, attempts, (*corrupt, *damaged))

    def entries(self, keys: Iterable[str] | None = None) -> tuple[Entry, ...]:
        """Read several jobs, by default all."""
        return tuple(self.entry(key) for key in (self.keys() if keys is None else keys))

    def compare(self, jobs: Iterable[Job]) -> Comparison:
        """Compare the jobs of a plan with the ledger and change nothing."""
        jobs = list(jobs)
        planned = {job.key for job in jobs}
        finished = {job.key for job in jobs if self.entry(job.key).result is not None}
        by_label = {job.label: job.key for job in jobs}
        orphans, changed = [], []
        for key in self.keys():
            if key in planned:
                continue
            job = self.entry(key).job
            if job is not None and job.label in by_label:
                changed.append(Changed(job.label, key, by_label[job.label]))
            else:
                orphans.append(key)
        return Comparison(
            done=tuple(job.key for job in jobs if job.key in finished),
            to_run=tuple(job.key for job in jobs if job.key not in finished),
            orphans=tuple(orphans),
            changed=tuple(changed),
        )

    # The methods below are for the holder of the claim.

    def clear_corrupt(self, key: str) -> tuple[Path, ...]:
        """Rename an unreadable result and unreadable attempts, and return the new names.

        Also deletes temporary files that a killed process left, and creates missing folders.
        """
        folder = self.folder(key)
        corrupt = []
        for name in ("attempts", "work"):
            path = folder / name
            if path.exists() and not path.is_dir():
                corrupt.append(set_aside(path))
            path.mkdir(parents=True, exist_ok=True)
        self.refresh(key)
        for path in (*folder.glob(".result.json.*"), *folder.glob("attempts/.*.tmp")):
            path.unlink(missing_ok=True)
        _, damaged = self._attempts(key)
        corrupt += [set_aside(path) for path in damaged]
        try:
            _read_result(folder / "result.json", key)
        except Corrupt:
            corrupt.append(set_aside(folder / "result.json"))
        return tuple(corrupt)

    def next_number(self, key: str) -> int:
        """Return the number of the next attempt, counting unreadable ones."""
        names = [path.name[:4] for path in (self.folder(key) / "attempts").glob("[0-9]*")]
        return 1 + max((int(name) for name in names if name.isdigit()), default=0)

    def write_attempt(self, key: str, attempt: Attempt) -> None:
        """Write an attempt; at its end, over what was written at its start."""
        folder = self.folder(key) / "attempts"
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{attempt.number:04d}.json", vars(attempt))

    def write_result(self, key: str, result: Result) -> None:
        """Write a result. Raises `FileExistsError` if there is one."""
        values = {"key": key, **vars(result), "digest": json_digest(result.values)}
        write_json(self.folder(key) / "result.json", values, replace=False)

    def close_lost(self, key: str, cause: Cause = "lost", message: str = LOST) -> None:
        """Record the end of the last attempt if its process could not do so."""
        attempts, _ = self._attempts(key)
        if attempts and attempts[-1].ended is None:
            last = attempts[-1]
            self.write_attempt(
                key,
                replace(
                    last,
                    ended=now(),
                    outcome="failed",
                    cause=cause,
                    message=message,
                    progress=folder_state(self.work_folder(key)) != last.folder_state,
                    whole_call=True,
                ),
            )

    def _register(self, job: Job, work: str) -> list[Path]:
        folder = self.folder(job.key)
        corrupt = []
        if folder.exists() and not folder.is_dir():
            corrupt.append(set_aside(folder))
        folder.mkdir(exist_ok=True)
        path = folder / "job.json"
        values = {"work": work, **vars(job), "payload": dict(job.payload)}
        try:
            if read_json(path) == values:
                return corrupt
            _read_job(path, job.key)
        except Corrupt:
            corrupt.append(set_aside(path))
        write_json(path, values)
        return corrupt

    def _attempts(self, key: str) -> tuple[tuple[Attempt, ...], tuple[Path, ...]]:
        readable, damaged = [], []
        folder = self.folder(key) / "attempts"
        if folder.exists() and not folder.is_dir():
            return (), (folder,)
        for path in sorted(folder.glob("[0-9]*.json")):
            try:
                values = read_json(path)
                if values is not None:
                    readable.append(Attempt.read(values, str(path)))
            except Corrupt:
                damaged.append(path)
        return tuple(readable), tuple(damaged)


@contextmanager
def _explain_permissions() -> Iterator[None]:
    """Raise `UsageError` for a `PermissionError`.

    A file that this user may not read is neither absent nor corrupt: its job must not run again.
    """
    try:
        yield
    except PermissionError as error:
        raise UsageError(
            f"{error.filename}: not readable by this user ({error.strerror}); ask its owner for "
            "the right to read and write the ledger (chmod -R), or use another ledger"
        ) from error


def _read_job(path: Path, key: str) -> tuple[Job, str] | None:
    values = read_json(path)
    if values is None:
        return None
    try:
        work = values.pop("work")
        job = Job(**values)
        if not isinstance(work, str) or not isinstance(job.label, str) or job.key != key:
            raise Corrupt(f"{path} does not describe job {key}")
    except (TypeError, KeyError, UsageError) as error:
        raise Corrupt(f"{path} does not describe a job: {error}") from error
    return job, work


def _read_result(path: Path, key: str) -> Result | None:
    values = read_json(path)
    if values is None:
        return None
    try:
        result = Result(**{name: values[name] for name in Result.__dataclass_fields__})
        valid = (
            values["key"] == key
            and result.state in ("done", "diverged")
            and isinstance(result.values, dict)
            and values["digest"] == json_digest(result.values)
        )
    except (KeyError, ValueError) as error:
        raise Corrupt(f"{path} is not a result: {error!r}") from error
    if not valid:
        raise Corrupt(f"{path} is not the result of job {key}, or was edited")
    return result


def _unless_corrupt(read: Callable[[], _T], path: Path, corrupt: list[Path]) -> _T | None:
    try:
        return read()
    except Corrupt:
        corrupt.append(path)
        return None


def _state(
    result: Result | None, attempts: Sequence[Attempt], *, claimed: bool, broken: bool
) -> State:
    if result is not None:
        return result.state
    if claimed:
        return "running"
    if broken:
        return "corrupt"
    last = attempts[-1] if attempts else None
    if last is None or last.outcome != "failed" or last.cause in NEVER_COUNTED:
        return "todo"
    return "failed"


def _duplicate_key(jobs: Sequence[Job]) -> str:
    labels: dict[str, list[str]] = defaultdict(list)
    for job in jobs:
        labels[job.key].append(job.label)
    key, same = next((key, names) for key, names in labels.items() if len(names) > 1)
    named = " and ".join(repr(name) for name in same)
    return f"jobs {named} have the same key, {key}: give each job a key of its own"
