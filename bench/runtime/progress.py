"""Progress and timing of long work.

A function that takes long accepts a callback of one of the types below. `progress_report` makes
one that draws bars on a terminal, writes a line every few seconds elsewhere, and does nothing with
`quiet`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from bench.runtime.amounts import duration, format_amount, format_rate

Progress = Callable[[str, int, int], None]  # stage, amount done, total (0: unknown)
CountProgress = Callable[[int, int], None]  # amount done, total (0: unknown)
PLAIN_INTERVAL_S = 5.0


class Report(Protocol):
    """A `Progress` callback that also takes a note, which is shown after the amounts."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None: ...


@contextmanager
def progress_report(*, quiet: bool = False) -> Iterator[Report]:
    """Yield a callback that shows the progress of any number of stages on standard error."""
    if quiet:
        yield _ignore
    elif sys.stderr.isatty():
        from bench.runtime.progress_bars import progress_bars  # noqa: PLC0415  (loads rich)

        with progress_bars() as report:
            yield report
    else:
        yield _Lines()


def _ignore(stage: str, done: int, total: int, note: str = "") -> None:
    pass


class _Lines:
    """A callback that writes a line every five seconds: amount, rate and remaining time."""

    def __init__(self) -> None:
        self._written_s = time.monotonic()
        self._starts: dict[str, tuple[float, int]] = {}  # stage -> start time, amount done then

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        now_s = time.monotonic()
        start_s, first = self._starts.setdefault(stage, (now_s, done))
        if now_s - self._written_s < PLAIN_INTERVAL_S:
            return
        self._written_s = now_s
        parts = [format_amount(stage, done) + (f" of {format_amount(stage, total)}" * bool(total))]
        if done > first and now_s > start_s:
            speed = (done - first) / (now_s - start_s)
            parts.append(format_rate(stage, speed))
            if total > done:
                parts.append(f"{duration((total - done) / speed)} left")
        if note:
            parts.append(note)
        sys.stderr.write(f"{stage}: {', '.join(parts)}\n")


@dataclass
class Stopwatch:
    """Seconds by stage; the times of a stage that is entered again add up."""

    times_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside to the stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.times_s[name] = round(self.times_s.get(name, 0.0) + elapsed, 4)

    def copy(self) -> Stopwatch:
        """Return a stopwatch that continues from the same times."""
        return Stopwatch(dict(self.times_s))
