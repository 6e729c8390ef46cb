"""A dask.distributed cluster that is already running.

Its workers need this package and must see the ledger's folder at the same path. If a worker dies,
dask runs the call again (three times by default); each run is an attempt in the ledger, and counts.
A thread of a dask worker cannot be killed, so the time limit is raised inside the work. After
Ctrl-C running work continues under its claim, and the same command collects its result later.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, Self

from bench.errors import UsageError, reason_of
from bench.execution.executors.workers import T, Workers
from bench.execution.ledger.causes import WorkerLost

if TYPE_CHECKING:
    from distributed import Client

_CONNECT_S = 20.0
_WIDTH_AGE_S = 2.0


class DaskWorkers(Workers):
    """The workers of the scheduler at an address."""

    def __init__(self, address: str) -> None:
        self.name = f"dask:{address}"
        self._address = address
        self._client: Client | None = None
        self._width = (-_WIDTH_AGE_S, 1)  # time of the last request, and its answer

    @property
    def width(self) -> int:
        """The present number of threads of all workers, at least 1."""
        if self._client is not None and time.monotonic() - self._width[0] > _WIDTH_AGE_S:
            threads = sum(self._client.nthreads().values())  # type: ignore[no-untyped-call]
            self._width = (time.monotonic(), max(1, threads))
        return self._width[1]

    def __enter__(self) -> Self:
        try:
            from distributed import Client  # noqa: PLC0415  (an extra)
        except ImportError as error:
            raise UsageError(
                f"executor {self.name}: dask is not installed; pip install distributed"
            ) from error
        try:
            self._client = Client(self._address, timeout=_CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"executor {self.name}: no dask scheduler answers at this address: "
                f"{reason_of(error)}"
            ) from error
        return self

    def schedule(
        self,
        task: Callable[..., T],
        *arguments: Any,
        timeout_s: float | None = None,  # noqa: ARG002  (a thread cannot be killed)
    ) -> Future[T]:
        """See `Workers`; only the work's own time limit applies."""
        if self._client is None:
            raise RuntimeError("these workers have not been started; use them in a with statement")
        remote = self._client.submit(task, *arguments, pure=False)
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        remote.add_done_callback(lambda done: _pass_on(done, future))  # type: ignore[no-untyped-call]
        return future

    def interrupt(self) -> None:
        """Do nothing: waiting calls are cancelled when the context is left."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Disconnect from the cluster, which drops the calls that have not started."""
        client, self._client = self._client, None
        if client is not None:
            client.close()  # type: ignore[no-untyped-call]


def _pass_on(remote: Any, future: Future[T]) -> None:
    from distributed import KilledWorker  # noqa: PLC0415
    from distributed.client import FutureCancelledError  # noqa: PLC0415

    try:
        future.set_result(remote.result())
    except KilledWorker as error:
        future.set_exception(WorkerLost(f"dask gave up: {error}"))
    except (CancelledError, FutureCancelledError) as error:
        future.set_exception(WorkerLost(f"the dask scheduler dropped the call: {error}"))
    except BaseException as error:  # noqa: BLE001  (the future raises it)
        future.set_exception(error)
