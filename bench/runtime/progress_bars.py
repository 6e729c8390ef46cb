"""Progress bars on a terminal: one per stage, with amount, rate and remaining time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

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

from bench.runtime.amounts import format_amount, format_rate
from bench.runtime.terminal import console

if TYPE_CHECKING:
    from bench.runtime.progress import Report


@contextmanager
def progress_bars() -> Iterator[Report]:
    """Yield a callback that draws bars on standard error, and remove them at the end."""
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


class _Bars:
    """A callback with a bar for each stage."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        if stage not in self._tasks:  # the rate leaves out what was done before
            self._tasks[stage] = self._bars.add_task(
                stage, completed=done, total=total or None, note=note
            )
        else:
            self._bars.update(self._tasks[stage], completed=done, total=total or None, note=note)


class _Amount(ProgressColumn):
    """The amount done and the total, such as 3,000/10,000."""

    def render(self, task: Task) -> Text:
        """Return the amounts of a stage; the total only if it is known."""
        amounts = [task.completed] if task.total is None else [task.completed, task.total]
        return Text("/".join(format_amount(task.description, int(amount)) for amount in amounts))


class _Rate(ProgressColumn):
    """The rate, such as 812 images/s; empty until it is known."""

    def render(self, task: Task) -> Text:
        """Return the rate of a stage over the last half minute."""
        speed = task.finished_speed or task.speed
        return Text("" if not speed else format_rate(task.description, speed), "dim")
