"""The option that says where work runs.

inline                     in this process, one call after another
local[:N]                  N processes on this machine (default: one per core)
dask:ADDRESS               a dask.distributed cluster, given the address of its scheduler
slurm[:PARTITION][,...]    Slurm jobs through submitit; gpus=, cpus=, mem_gb=, hours=
submitit-local             submitit processes on this machine, to try out what Slurm would run
submitit-debug             submitit jobs in this process
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.errors import UnknownNameError, UsageError
from bench.execution.executors.workers import Workers, cores

DEFAULT = "local"


def executor_for(text: str = DEFAULT, *, folder: Path | None = None) -> Workers:
    """Return the workers that an option names; they start when used as a context manager.

    Logs of batch jobs go to `folder` (default: latentbench-slurm in the current folder), which
    every node must see. Raises `UsageError` for an option that is not valid.

    >>> executor_for("local:4").width
    4
    """
    kind, colon, rest = text.partition(":")
    if not colon and "," in kind:  # slurm,gpus=1: no partition named
        kind, _, rest = kind.partition(",")
        rest = f",{rest}"
    if kind not in _KINDS:
        raise UnknownNameError("executor", kind, _KINDS)
    return _KINDS[kind](text, rest, folder or Path.cwd() / "latentbench-slurm")


def _inline(text: str, rest: str, _folder: Path) -> Workers:
    from bench.execution.executors.inline import InlineWorkers  # noqa: PLC0415

    _nothing_after(text, rest)
    return InlineWorkers()


def _local(text: str, rest: str, _folder: Path) -> Workers:
    from bench.execution.executors.local import LocalWorkers  # noqa: PLC0415

    if rest and not (rest.isdecimal() and int(rest) >= 1):
        raise UsageError(f"executor {text!r}: expected local or local:N with N of 1 or more")
    return LocalWorkers(int(rest) if rest else cores())


def _dask(_text: str, rest: str, _folder: Path) -> Workers:
    from bench.execution.executors.dask_cluster import DaskWorkers  # noqa: PLC0415

    if not rest:
        raise UsageError("executor 'dask': expected dask:ADDRESS, such as dask:tcp://10.0.0.1:8786")
    return DaskWorkers(rest)


def _submitit(text: str, rest: str, folder: Path) -> Workers:
    from bench.execution.executors.slurm import SubmititWorkers  # noqa: PLC0415

    kind = text.partition(":")[0].partition(",")[0]
    if kind != "slurm":
        _nothing_after(text, rest)
    return SubmititWorkers(text, kind.removeprefix("submitit-"), rest, folder)


def _nothing_after(text: str, rest: str) -> None:
    if rest:
        kind = text.partition(":")[0]
        raise UsageError(f"executor {text!r}: expected {kind!r} with nothing after it")


_KINDS: dict[str, Callable[[str, str, Path], Workers]] = {
    "inline": _inline,
    "local": _local,
    "dask": _dask,
    "slurm": _submitit,
    "submitit-local": _submitit,
    "submitit-debug": _submitit,
}
