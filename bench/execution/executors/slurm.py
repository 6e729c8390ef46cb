"""Batch jobs through submitit: Slurm, and submitit's replacements for it on this machine.

Each call is a batch job. If Slurm takes the node back, submitit queues the job again, and the work
resumes from its folder. Logs and pickles are stored in `folder`, which every node must see. Ctrl-C
cancels waiting jobs; running ones continue under their claims.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from bench.errors import UnknownNameError, UsageError
from bench.execution.executors.workers import T, Workers
from bench.execution.ledger.causes import WorkerLost
from bench.execution.stopping import note_preemption

if TYPE_CHECKING:
    import submitit

_POLL_S = 0.25
_WIDTH = 500  # jobs in Slurm's queue at a time
_DEFAULT_HOURS = 24.0
_LOCAL_ENDS = ("INTERRUPTED", "FINISHED")  # final states of a process on this machine
_MARGIN_MIN = 3  # submitit signals 90 s before the end; the work's own limit must pass first
_SMALLEST = 0.01  # hours, gigabytes
_PARAMETERS = {"gpus": "gpus_per_node", "cpus": "cpus_per_task", "mem_gb": "mem_gb", "hours": ""}


class Resumed:
    """A call that Slurm may interrupt and run again; submitit calls `checkpoint` in between."""

    def __init__(self, task: Callable[..., Any]) -> None:
        self.task = task

    def __call__(self, *arguments: Any) -> Any:
        return self.task(*arguments)

    def checkpoint(self, *arguments: Any) -> submitit.helpers.DelayedSubmission:
        """Return the same call; its progress is in the ledger and its folder."""
        from submitit.helpers import DelayedSubmission  # noqa: PLC0415

        note_preemption()
        return DelayedSubmission(self, *arguments)


class _Waiting(NamedTuple):
    job: submitit.Job[Any]
    future: Future[Any]


class SubmititWorkers(Workers):
    """Jobs of one of submitit's clusters: slurm, local or debug."""

    def __init__(self, name: str, cluster: str, rest: str, folder: Path) -> None:
        self.name = name
        self._cluster = cluster
        self._partition, self._parameters = _parsed(name, rest)
        self._folder = folder
        self._executor: submitit.AutoExecutor | None = None
        self._waiting: list[_Waiting] = []
        self._lock = threading.Lock()
        self._leaving = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def width(self) -> int:
        """500 for Slurm, which has a queue; 2 for local processes, 1 for this process."""
        return {"slurm": _WIDTH, "local": 2}.get(self._cluster, 1)

    def __enter__(self) -> Self:
        try:
            import submitit  # noqa: PLC0415  (an extra)
        except ImportError as error:
            raise UsageError(
                f"executor {self.name}: submitit is not installed; pip install submitit"
            ) from error
        try:
            self._executor = submitit.AutoExecutor(self._folder.resolve(), cluster=self._cluster)
        except RuntimeError as error:
            raise UsageError(f"executor {self.name}: {error}; is this a node of Slurm?") from error
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def schedule(
        self, task: Callable[..., T], *arguments: Any, timeout_s: float | None = None
    ) -> Future[T]:
        """See `Workers`."""
        if self._executor is None:
            raise RuntimeError("these workers have not been started; use them in a with statement")
        self._executor.update_parameters(**self._limits(timeout_s))
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        job = self._executor.submit(Resumed(task), *arguments)
        if self._cluster == "debug":
            _run_here(job, future)
        else:
            with self._lock:
                self._waiting.append(_Waiting(job, future))
        return future

    def interrupt(self) -> None:
        """Cancel the jobs that wait in Slurm's queue."""
        if self._cluster == "slurm":
            for item in self._snapshot():
                if item.job.state.upper() == "PENDING":
                    with suppress(Exception):
                        item.job.cancel(check=False)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Stop watching. Slurm jobs continue; processes on this machine are ended."""
        self._leaving.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None
        for item in self._snapshot():
            if self._cluster == "local":
                item.job.cancel()
                item.job.wait()
            item.future.set_exception(WorkerLost("its scheduler stopped watching"))
        self._waiting = []

    def _snapshot(self) -> list[_Waiting]:
        with self._lock:
            return list(self._waiting)

    def _limits(self, timeout_s: float | None) -> dict[str, Any]:
        hours = self._parameters.get("hours", _DEFAULT_HOURS)
        minutes = 60 * hours if timeout_s is None else timeout_s / 60 + _MARGIN_MIN
        limits: dict[str, Any] = {"timeout_min": max(1, math.ceil(minutes)), "name": "latentbench"}
        if self._cluster == "slurm":
            limits |= {_PARAMETERS[n]: v for n, v in self._parameters.items() if n != "hours"}
            if self._partition:
                limits["slurm_partition"] = self._partition
        return limits

    def _watch(self) -> None:
        while not self._leaving.wait(_POLL_S):
            for item in self._snapshot():
                if item.job.done():
                    _pass_on(item)
                    with self._lock:
                        self._waiting.remove(item)


def _parsed(name: str, rest: str) -> tuple[str, dict[str, Any]]:
    partition, *options = rest.split(",")
    parameters: dict[str, Any] = {}
    for option in options:
        key, _, value = option.partition("=")
        if key not in _PARAMETERS:
            raise UnknownNameError(f"parameter in executor {name!r}:", key, _PARAMETERS)
        try:
            parameters[key] = float(value) if key in ("hours", "mem_gb") else int(value)
        except ValueError:
            raise UsageError(f"executor {name!r}: expected {key}=NUMBER, got {option!r}") from None
        least = 0 if key == "gpus" else 1 if key == "cpus" else _SMALLEST
        if not least <= parameters[key] < math.inf:  # also refuses NaN
            raise UsageError(
                f"executor {name!r}: expected {key} of {least:g} or more, got {option!r}"
            )
    return partition, parameters


def _run_here(job: submitit.Job[T], future: Future[T]) -> None:
    """Run a debug job without its own `result`, which opens a debugger if the work raises."""
    try:
        future.set_result(job.submission().result())
    except Exception as error:  # noqa: BLE001  (the future raises it)
        future.set_exception(error)


def _pass_on(item: _Waiting) -> None:
    from submitit.core.utils import UncompletedJobError  # noqa: PLC0415

    job, future = item
    if job.state in _LOCAL_ENDS and not job.paths.result_pickle.exists():
        future.set_exception(WorkerLost(f"batch job {job.job_id} was killed"))
        return
    try:
        future.set_result(job.result())
    except UncompletedJobError as error:
        future.set_exception(
            WorkerLost(f"batch job {job.job_id} ended as {job.state}: {str(error)[-500:]}")
        )
    except BaseException as error:  # noqa: BLE001  (the future raises it)
        future.set_exception(error)
