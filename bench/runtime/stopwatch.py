"""Where the time of a score goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """Seconds by stage; a stage entered again adds up."""

    times_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.times_s[name] = round(self.times_s.get(name, 0.0) + elapsed, 4)

    def copy(self) -> Stopwatch:
        return Stopwatch(dict(self.times_s))
