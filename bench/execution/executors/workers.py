"""What every executor is: a `concurrent.futures.Executor` with a name, a width and a time limit."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

T = TypeVar("T")


class Workers(Executor):
    """Where work runs. A context manager: leaving it waits for what was begun, unless it is left
    by an exception.

    A future raises `WorkerLost` when its worker died and `TaskTimeout` when the executor had to
    kill it; an exception of the work itself comes as it was.
    """

    name: str  # as in the option: "local:4"
    own_process = False  # whether each worker process is ours to end

    @property
    @abstractmethod
    def width(self) -> int:
        """How many calls are worth handing over at a time."""

    @abstractmethod
    def schedule(
        self, task: Callable[..., T], *arguments: Any, timeout_s: float | None = None
    ) -> Future[T]:
        """Hand over a call of an importable function. `timeout_s` is when a call is killed where
        that can be done; the work's own limit comes first (`stopping.time_limit`).
        """

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """The standard library's way in, without a limit; keywords are refused."""
        if kwargs:
            raise TypeError("keyword arguments are not handed to workers; bind them before")
        return self.schedule(fn, *args)

    @abstractmethod
    def interrupt(self) -> None:
        """Begin nothing more; local work is asked once, by SIGINT, to save and end, and what runs
        on a cluster goes on under its claim.
        """


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
