"""The base class of executors: a `concurrent.futures.Executor` with a name and a width."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

T = TypeVar("T")


class Workers(Executor):
    """The processes or machines that run work, used as a context manager.

    Leaving the context waits for running calls, unless an exception leaves it. A future raises
    `WorkerLost` if its worker died, `TaskTimeout` if the executor had to kill it, and the
    exception of the work itself.
    """

    name: str  # as in the option: "local:4"
    own_process = False  # whether worker processes belong to this program and may be ended

    @property
    @abstractmethod
    def width(self) -> int:
        """The number of calls that are worth submitting at a time."""

    @abstractmethod
    def schedule(
        self, task: Callable[..., T], *arguments: Any, timeout_s: float | None = None
    ) -> Future[T]:
        """Submit a call of an importable function.

        An executor that can kill a call does so after `timeout_s`; the limit of the work itself
        (`stopping.time_limit`) ends earlier.
        """

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Submit a call as `concurrent.futures` does, without time limit or keyword arguments."""
        if kwargs:
            raise TypeError("workers take no keyword arguments; bind them with functools.partial")
        return self.schedule(fn, *args)

    @abstractmethod
    def interrupt(self) -> None:
        """Start no further calls, and send SIGINT once to local work, which saves and ends.

        Work on a cluster continues under its claim.
        """


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
