"""Work in this process, one call after the other: for debugging, and for a run by hand."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from bench.execution.executors.workers import T, Workers


class InlineWorkers(Workers):
    """Calls at once, where it is handed over; only the work's own time limit holds."""

    name = "inline"

    @property
    def width(self) -> int:
        """One."""
        return 1

    def schedule(
        self,
        task: Callable[..., T],
        *arguments: Any,
        timeout_s: float | None = None,  # noqa: ARG002  (nobody is left to kill it)
    ) -> Future[T]:
        """The finished call."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(task(*arguments))
        except Exception as error:  # noqa: BLE001  (the caller's, by the future)
            future.set_exception(error)
        return future

    def interrupt(self) -> None:
        """Nothing runs when this is called."""
