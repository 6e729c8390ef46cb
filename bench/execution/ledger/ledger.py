"""The ledger: what of a plan is done, on disk, one directory for each job.

    ROOT/jobs/KEY/job.json             what it is: label, payload, group, cost, name of the work
                  claim                locked by the process that works (claims.py)
                  attempts/0001.json   every attempt, kept: when, where, how it ended and why
                  work/                folder of the work, kept between attempts: its checkpoints
                  result.json          written beside and moved into place, never overwritten

Only who holds the claim writes attempts and result, so that a job is done once whatever number of
schedulers, batch scripts and people work on the ledger. A file that cannot be read is moved aside
under a name ending in .corrupt, and what it held is done again: a result is worked anew, a
`job.json` written anew from the plan. A sound result outlives damage to the other files.
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
LOOKED_AT_S = 0.3  # longer than anybody only looks at a claim
LOST = "the process that worked is gone; killed, out of memory, or its node is down"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a job gave: done with its values, or diverged with a message and details."""

    state: Literal["done", "diverged"]
    values: dict[str, Any]
    message: str | None
    attempt: int
    seconds: float  # of the attempt that gave it
    ended: str


class Entry(NamedTuple):
    """All that the ledger says of one job."""

    key: str
    state: State
    job: Job | None  # None: never registered, or unreadable
    work: str | None  # "package.module:function"
    result: Result | None
    attempts: tuple[Attempt, ...]  # the readable ones, oldest first
    corrupt: tuple[Path, ...]  # unreadable now, and those that were moved aside earlier


class Changed(NamedTuple):
    """A label whose job is another one now."""

    label: str
    old_key: str
    new_key: str


class Comparison(NamedTuple):
    """A plan beside its ledger; keys in the order of the plan, then of the ledger."""

    done: tuple[str, ...]  # with a result, diverged ones too
    to_run: tuple[str, ...]
    orphans: tuple[str, ...]  # in the ledger, in the plan neither by key nor by label
    changed: tuple[Changed, ...]


class Ledger:
    """The jobs below a folder, which is made when the first is registered."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def folder(self, key: str) -> Path:
        """Everything of one job."""
        return self.root / "jobs" / key

    def work_folder(self, key: str) -> Path:
        """Where the work keeps its own files."""
        return self.folder(key) / "work"

    def keys(self) -> tuple[str, ...]:
        """Of all jobs, sorted."""
        with _permitted(), suppress(FileNotFoundError, NotADirectoryError):
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
        """Write what jobs are where that is new or changed; gives what was moved aside as corrupt.

        Raises `UsageError` when two jobs have one key.
        """
        jobs = list(jobs)
        if len({job.key for job in jobs}) < len(jobs):
            raise UsageError(_twice(jobs))
        (self.root / "jobs").mkdir(parents=True, exist_ok=True)
        aside: list[Path] = []
        lock = claim_within(self.root / "register.lock", 60.0)
        if lock is None:
            raise UsageError(
                f"{self.root / 'register.lock'} is held by another process for a minute"
            )
        with lock, _permitted():
            for job in jobs:
                aside += self._register(job, work)
        return tuple(aside)

    def claim(self, key: str) -> Claim | None:
        """The right to work on a job; None when another process or thread has it."""
        path = self.folder(key) / "claim"
        if path.is_dir():
            set_aside(path)
        return claim_within(path, LOOKED_AT_S)

    def is_claimed(self, key: str) -> bool:
        """Whether a live process works on the job."""
        return is_claimed(self.folder(key) / "claim")

    def look_anew(self, key: str) -> None:
        """Make NFS forget what it remembers of a job's folder: a change of ours invalidates it.

        Without this a client may miss for a minute a result that another node has just written.
        """
        with suppress(OSError):  # a ledger that may only be read
            for folder in (self.folder(key), self.folder(key) / "attempts"):
                place = folder / f".look.{os.getpid()}.{threading.get_ident()}"
                place.touch()
                place.unlink()

    def entry(self, key: str) -> Entry:
        """Read one job; changes nothing. Raises `UsageError` naming a file that may not be read."""
        with _permitted():
            return self._entry(key)

    def _entry(self, key: str) -> Entry:
        folder = self.folder(key)
        corrupt = [*folder.glob(f"*{CORRUPT}"), *folder.glob(f"attempts/*{CORRUPT}")]
        claimed = self.is_claimed(key)  # before the rest: what ends meanwhile is then seen whole
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
        """Several jobs, by default all."""
        return tuple(self.entry(key) for key in (self.keys() if keys is None else keys))

    def compare(self, jobs: Iterable[Job]) -> Comparison:
        """What a plan asks for beside what the ledger holds; changes nothing."""
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

    # What follows is for the holder of the claim.

    def clear_corrupt(self, key: str) -> tuple[Path, ...]:
        """Move aside what cannot be read of result and attempts, drop what was half-written, and
        make the folders.
        """
        folder = self.folder(key)
        aside = []
        for name in ("attempts", "work"):
            path = folder / name
            if path.exists() and not path.is_dir():
                aside.append(set_aside(path))
            path.mkdir(parents=True, exist_ok=True)
        self.look_anew(key)
        for path in (*folder.glob(".result.json.*"), *folder.glob("attempts/.*.tmp")):
            path.unlink(missing_ok=True)  # whoever wrote these was killed
        _, damaged = self._attempts(key)
        aside += [set_aside(path) for path in damaged]
        try:
            _read_result(folder / "result.json", key)
        except Corrupt:
            aside.append(set_aside(folder / "result.json"))
        return tuple(aside)

    def next_number(self, key: str) -> int:
        """Of the next attempt: above all before it, the unreadable ones too."""
        names = [path.name[:4] for path in (self.folder(key) / "attempts").glob("[0-9]*")]
        return 1 + max((int(name) for name in names if name.isdigit()), default=0)

    def write_attempt(self, key: str, attempt: Attempt) -> None:
        """Keep the start of an attempt, or its end over its start."""
        folder = self.folder(key) / "attempts"
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{attempt.number:04d}.json", vars(attempt))

    def write_result(self, key: str, result: Result) -> None:
        """Keep a result. Raises `FileExistsError` when there is one."""
        values = {"key": key, **vars(result), "digest": json_digest(result.values)}
        write_json(self.folder(key) / "result.json", values, replace=False)

    def close_lost(self, key: str, cause: Cause = "lost", message: str = LOST) -> None:
        """Write the end of the last attempt if whoever made it could not."""
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
        aside = []
        if folder.exists() and not folder.is_dir():
            aside.append(set_aside(folder))
        folder.mkdir(exist_ok=True)
        path = folder / "job.json"
        values = {"work": work, **vars(job), "payload": dict(job.payload)}
        try:
            if read_json(path) == values:
                return aside
            _read_job(path, job.key)
        except Corrupt:
            aside.append(set_aside(path))
        write_json(path, values)
        return aside

    def _attempts(self, key: str) -> tuple[tuple[Attempt, ...], tuple[Path, ...]]:
        sound, damaged = [], []
        folder = self.folder(key) / "attempts"
        if folder.exists() and not folder.is_dir():
            return (), (folder,)
        for path in sorted(folder.glob("[0-9]*.json")):
            try:
                values = read_json(path)
                if values is not None:
                    sound.append(Attempt.read(values, str(path)))
            except Corrupt:
                damaged.append(path)
        return tuple(sound), tuple(damaged)


@contextmanager
def _permitted() -> Iterator[None]:
    """A file of another user is neither absent nor corrupt: its result must not be done again."""
    try:
        yield
    except PermissionError as error:
        raise UsageError(
            f"{error.filename}: not readable by this user ({error.strerror}); ask its owner for "
            "the right to read and write the ledger (chmod -R), or use a ledger of your own"
        ) from error


def _read_job(path: Path, key: str) -> tuple[Job, str] | None:
    values = read_json(path)
    if values is None:
        return None
    try:
        work = values.pop("work")
        job = Job(**values)
        if not isinstance(work, str) or not isinstance(job.label, str) or job.key != key:
            raise Corrupt(f"{path} is not the description of job {key}")
    except (TypeError, KeyError, UsageError) as error:
        raise Corrupt(f"{path} is not the description of a job: {error}") from error
    return job, work


def _read_result(path: Path, key: str) -> Result | None:
    values = read_json(path)
    if values is None:
        return None
    try:
        result = Result(**{name: values[name] for name in Result.__dataclass_fields__})
        sound = (
            values["key"] == key
            and result.state in ("done", "diverged")
            and isinstance(result.values, dict)
            and values["digest"] == json_digest(result.values)
        )
    except (KeyError, ValueError) as error:
        raise Corrupt(f"{path} is not a result: {error!r}") from error
    if not sound:
        raise Corrupt(f"{path} is not the result of job {key}, or was altered")
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


def _twice(jobs: Sequence[Job]) -> str:
    labels: dict[str, list[str]] = defaultdict(list)
    for job in jobs:
        labels[job.key].append(job.label)
    key, same = next((key, names) for key, names in labels.items() if len(names) > 1)
    return (
        f"jobs {' and '.join(repr(name) for name in same)} have one key, {key}: expected one each"
    )
