"""How far long work is: bars with rate and time left on a terminal, a line now and then elsewhere,
nothing when asked to be quiet.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from bench.runtime.terminal import console

PLAIN_INTERVAL_S = 5.0
UNITS = {  # by the first word of a stage
    "read": "images",
    "features": "images",
    "repair": "images",
    "write": "images",
    "train": "steps",
    "sample": "images",
    "judge": "fits",
}


class Report(Protocol):
    """Called with a stage, how much of it is done and how much there is (0: not known)."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None: ...


@contextmanager
def progress_report(*, quiet: bool = False) -> Iterator[Report]:
    """A callback that tells the progress of any number of stages on standard error."""
    if quiet:
        yield _silent
    elif sys.stderr.isatty():
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            _Amount(),
            _Rate(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}"),
            console=console(stderr=True),
            transient=True,
        ) as bars:
            yield _Bars(bars)
    else:
        yield _Lines()


def _silent(stage: str, done: int, total: int, note: str = "") -> None:
    pass


class _Bars:
    """A bar for each stage."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        if stage not in self._tasks:  # what was done before counts in no rate
            self._tasks[stage] = self._bars.add_task(
                stage, completed=done, total=total or None, note=note
            )
        else:
            self._bars.update(self._tasks[stage], completed=done, total=total or None, note=note)


class _Amount(ProgressColumn):
    """How much of how much: 3,000/10,000."""

    def render(self, task: Task) -> Text:
        """Done, and all where it is known."""
        amounts = [task.completed] if task.total is None else [task.completed, task.total]
        return Text("/".join(_amount(task.description, int(amount)) for amount in amounts))


class _Rate(ProgressColumn):
    """How fast, 812 images/s; nothing until that is known."""

    def render(self, task: Task) -> Text:
        """Of the last half minute."""
        speed = task.finished_speed or task.speed
        return Text("" if not speed else _rate(task.description, speed), "dim")


class _Lines:
    """A line every five seconds: how far, how fast, how long still."""

    def __init__(self) -> None:
        self._told_s = time.monotonic()
        self._started: dict[str, tuple[float, int]] = {}  # stage -> when, and what was done then

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        now_s = time.monotonic()
        start_s, first = self._started.setdefault(stage, (now_s, done))
        if now_s - self._told_s < PLAIN_INTERVAL_S:
            return
        self._told_s = now_s
        parts = [_amount(stage, done) + (f" of {_amount(stage, total)}" if total else "")]
        if done > first and now_s > start_s:
            speed = (done - first) / (now_s - start_s)
            parts.append(_rate(stage, speed))
            if total > done:
                parts.append(f"{duration((total - done) / speed)} left")
        if note:
            parts.append(note)
        sys.stderr.write(f"{stage}: {', '.join(parts)}\n")


def duration(seconds: float) -> str:
    """Seconds below 2 minutes, minutes below 2 hours, else hours and minutes."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def _unit(stage: str) -> str:
    if "." in stage:  # the name of a file that is fetched
        return "MB"
    return UNITS.get(stage.split(maxsplit=1)[0], "") if stage.strip() else ""


def _amount(stage: str, amount: int) -> str:
    return f"{amount / 1e6:.1f} MB" if _unit(stage) == "MB" else f"{amount:,}"


def _rate(stage: str, speed: float) -> str:
    unit = _unit(stage)
    if unit == "MB":
        speed /= 1e6
    digits = 0 if speed >= 20 else 1
    return f"{speed:,.{digits}f} {unit}/s" if unit else f"{speed:,.{digits}f}/s"
