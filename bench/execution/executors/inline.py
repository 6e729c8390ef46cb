"""Work in this process, one call after another; for debugging."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from bench.execution.executors.workers import T, Workers


class InlineWorkers(Workers):
    """Workers that run each call when it is submitted; only the work's own time limit applies."""

    name = "inline"

    @property
    def width(self) -> int:
        """Always 1."""
        return 1

    def schedule(
        self,
        task: Callable[..., T],
        *arguments: Any,
        timeout_s: float | None = None,  # noqa: ARG002  (no other process can kill the call)
    ) -> Future[T]:
        """Run the call and return its finished future."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(task(*arguments))
        except Exception as error:  # noqa: BLE001  (the future raises it)
            future.set_exception(error)
        return future

    def interrupt(self) -> None:
        """Do nothing: no call is running when this is called."""
