"""One option says where work runs.

inline                     in this process, one call after the other
local[:N]                  N processes of this machine (default: one for each core)
dask:ADDRESS               a dask.distributed cluster, by the address of its scheduler
slurm[:PARTITION][,...]    jobs of Slurm through submitit; gpus=, cpus=, mem_gb=, hours=
submitit-local             submitit's processes of this machine: what Slurm would run, tried here
submitit-debug             submitit's jobs in this process
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.errors import UnknownNameError, UsageError
from bench.execution.executors.workers import Workers, cores

DEFAULT = "local"


def executor_for(text: str = DEFAULT, *, folder: Path | None = None) -> Workers:
    """The workers that an option names, not yet started: use as a context manager.

    `folder` takes the logs of batch jobs (default: latentbench-slurm in the current one); every
    node must see it. Raises `UsageError`, for a missing extra too.
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
        raise UsageError("executor 'dask': expected dask:ADDRESS, as dask:tcp://10.0.0.1:8786")
    return DaskWorkers(rest)


def _submitit(text: str, rest: str, folder: Path) -> Workers:
    from bench.execution.executors.slurm import SubmititWorkers  # noqa: PLC0415

    kind = text.partition(":")[0].partition(",")[0]
    if kind != "slurm":
        _nothing_after(text, rest)
    return SubmititWorkers(text, kind.removeprefix("submitit-"), rest, folder)


def _nothing_after(text: str, rest: str) -> None:
    if rest:
        raise UsageError(f"executor {text!r}: nothing comes after {text.partition(':')[0]!r}")


_KINDS: dict[str, Callable[[str, str, Path], Workers]] = {
    "inline": _inline,
    "local": _local,
    "dask": _dask,
    "slurm": _submitit,
    "submitit-local": _submitit,
    "submitit-debug": _submitit,
}
