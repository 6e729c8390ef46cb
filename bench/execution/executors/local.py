"""Processes on this machine, through pebble.

A worker that dies fails only its own call, and a call that exceeds its time limit is killed.
Workers are spawned, so they inherit no lock, thread or CUDA context. Each is in a process group of
its own: Ctrl-C reaches only the scheduler, which forwards it once. If the scheduler is killed, its
workers finish and record their present jobs, then exit.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pebble import ProcessExpired, ProcessPool

from bench.execution import stopping
from bench.execution.executors.workers import T, Workers, cores
from bench.execution.ledger.causes import TaskTimeout, WorkerLost

_STOP = "stop"
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class LocalWorkers(Workers):
    """`number` processes, whose threads share the cores of this machine."""

    own_process = True

    def __init__(self, number: int) -> None:
        self.name = f"local:{number}"
        self._number = number
        self._pool: ProcessPool | None = None
        self._signs: tempfile.TemporaryDirectory[str] | None = None

    @property
    def width(self) -> int:
        """The number of processes."""
        return self._number

    def __enter__(self) -> Self:
        self._signs = tempfile.TemporaryDirectory(prefix="latentbench-workers-")
        self._pool = self._new_pool(self._signs.name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(kill=error is not None)

    def schedule(
        self, task: Callable[..., T], *arguments: Any, timeout_s: float | None = None
    ) -> Future[T]:
        """See `Workers`."""
        if self._pool is None or self._signs is None:
            raise RuntimeError("these workers have not been started; use them in a with statement")
        try:
            inner = self._pool.schedule(task, args=arguments, timeout=timeout_s)
        except RuntimeError:  # all workers died before they received a task
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()
            self._pool = self._new_pool(self._signs.name)
            inner = self._pool.schedule(task, args=arguments, timeout=timeout_s)
        outer: Future[T] = Future()
        outer.set_running_or_notify_cancel()
        inner.add_done_callback(lambda done: _pass_on(done, outer, timeout_s))
        return outer

    def interrupt(self) -> None:
        """Send SIGINT to each worker; workers that start later run nothing."""
        if self._signs is None:
            return
        folder = Path(self._signs.name)
        (folder / _STOP).touch()
        children = {child.pid for child in multiprocessing.active_children()}
        for path in folder.glob("[0-9]*"):
            if int(path.name) in children:
                with suppress(ProcessLookupError):
                    os.kill(int(path.name), signal.SIGINT)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers, after their present calls if `wait` is set."""
        self._end(kill=not wait or cancel_futures)

    def _new_pool(self, signs: str) -> ProcessPool:
        threads = max(1, cores() // self._number)
        return ProcessPool(
            max_workers=self._number,
            initializer=_prepare_worker,
            initargs=(signs, threads),
            context=multiprocessing.get_context("spawn"),
        )

    def _end(self, *, kill: bool) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            if kill:
                pool.stop()  # type: ignore[no-untyped-call]
            else:
                pool.close()  # type: ignore[no-untyped-call]
            pool.join()
        if self._signs is not None:
            self._signs.cleanup()
            self._signs = None


def _prepare_worker(signs: str, threads: int) -> None:
    stopping.remember_interrupts()
    os.setpgid(0, 0)
    folder = Path(signs)
    with suppress(FileNotFoundError):  # the scheduler has ended already
        (folder / str(os.getpid())).touch()
    if (folder / _STOP).exists():
        stopping.stop()
    for name in _THREAD_VARIABLES:
        os.environ.setdefault(name, str(threads))
    # Waiting threads sleep: on shared cores, busy waiting took five times as long as the work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if "torch" in sys.modules:  # loaded by the main script, before the variables were set
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def _pass_on(inner: Future[T], outer: Future[T], timeout_s: float | None) -> None:
    try:
        outer.set_result(inner.result())
    except ProcessExpired as error:
        outer.set_exception(WorkerLost(f"worker process {error.pid} {_ending(error.exitcode)}"))
    except (BrokenProcessPool, CancelledError) as error:
        outer.set_exception(WorkerLost(f"the worker processes were ended: {error}"))
    except TimeoutError as error:
        killed = error.args[:1] == ("Task timeout",)
        outer.set_exception(
            TaskTimeout(f"killed after {timeout_s:g} s, as it ignored its time limit")
            if killed
            else error
        )
    except BaseException as error:  # noqa: BLE001  (the future raises it)
        outer.set_exception(error)


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    killed = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
    hint = "; out of memory?" if killed == "SIGKILL" else ""
    return f"was ended by {killed}{hint}"
