"""What a job is, and the function that does it: found by its dotted name, so that a worker, a
batch script and a run by hand do the same.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.execution.ledger.files import json_problem

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One thing to do. Jobs with one key are the same job.

    Raises `UsageError` for a key that is no safe file name or a payload that is not finite JSON.
    """

    key: str  # configuration digest and seed: letters, digits, ".", "_", "-"
    label: str  # for people; the same for one cell of two plans
    payload: Mapping[str, Any] = field(default_factory=dict)  # JSON values
    group: str | None = None  # jobs of one group can run as one program
    cost: float | None = None  # relative; dearer jobs begin first

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key) or self.key.endswith(".corrupt"):
            raise UsageError(
                f"job key {self.key!r}: expected at most 200 letters, digits, '.', '_' or '-', "
                "a letter or digit first"
            )
        problem = json_problem(self.payload, "payload")
        if problem is not None:
            raise UsageError(f"job {self.label!r}: {problem}; a payload holds finite JSON values")


@dataclass(frozen=True, kw_only=True)
class WorkContext:
    """What work is told besides its payload."""

    key: str
    label: str
    folder: Path  # the job's own, kept between attempts: checkpoints go here
    attempt: int  # from 1, all attempts of this job counted
    memory_step: int  # times it ran out of memory alone; each asks for half the memory
    deadline: float | None  # Unix time at which the work is stopped


Work = Callable[[Mapping[str, Any], WorkContext], Mapping[str, Any]]
StackedWork = Callable[
    [Sequence[Mapping[str, Any]], Sequence[WorkContext]],
    Sequence[Mapping[str, Any] | Exception],
]


def work_name(work: str | Callable[..., Any]) -> str:
    """The name "package.module:function". Raises `UsageError` if no worker could find it."""
    name = work if isinstance(work, str) else f"{work.__module__}:{work.__qualname__}"
    if name.startswith("__main__:"):
        raise UsageError(f"work {name}: put the function into a module that workers can import")
    found = work_named(name)
    if not isinstance(work, str) and inspect.unwrap(found) is not inspect.unwrap(work):
        raise UsageError(f"work {name}: another object of that name is found when imported")
    return name


def work_named(name: str) -> Callable[..., Any]:
    """The function behind "package.module:function". Raises `UsageError` with what is missing."""
    module, separator, attribute = name.partition(":")
    if not separator or not module or not attribute.isidentifier():
        raise UsageError(
            f"work {name!r}: expected a function at the top of an importable module, "
            "as 'package.module:function'"
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"work {name!r} cannot be found here: {error}") from error
    if not callable(found):
        raise UsageError(f"work {name!r} is not a function")
    return found  # type: ignore[no-any-return]
