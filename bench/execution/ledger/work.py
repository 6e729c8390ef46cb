"""A job, and the function that does it.

The function is found by its name "package.module:function", so that a worker, a batch script and a
run by hand all do the same.
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
_RENAMED = (
    "If an earlier version registered this job, run the command that planned it again: finished "
    "results stay valid, and the other jobs get the present name"
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One piece of work with its input. Two jobs with the same key are the same job.

    Raises `UsageError` for a key that is not a safe file name, or a payload that is not finite
    JSON.

    >>> Job(key="dcgan-0", label="dcgan, seed 0", payload={"seed": 0}).cost is None
    True
    """

    key: str  # configuration digest and seed: letters, digits, ".", "_", "-"
    label: str  # shown to people; the same cell has the same label in every plan
    payload: Mapping[str, Any] = field(default_factory=dict)  # JSON values
    group: str | None = None  # jobs of one group can run in one call
    cost: float | None = None  # relative; expensive jobs start first

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
    """What the work receives besides its payload."""

    key: str
    label: str
    folder: Path  # belongs to the job and survives between attempts; checkpoints go here
    attempt: int  # counted from 1 over all attempts of this job
    memory_step: int  # how often the job ran out of memory alone; halve the memory for each
    deadline: float | None  # Unix time at which the work is stopped


Work = Callable[[Mapping[str, Any], WorkContext], Mapping[str, Any]]
StackedWork = Callable[
    [Sequence[Mapping[str, Any]], Sequence[WorkContext]],
    Sequence[Mapping[str, Any] | Exception],
]


def work_name(work: str | Callable[..., Any]) -> str:
    """Return the name "package.module:function" of `work`, or `work` itself if it is a name.

    Raises `UsageError` if a worker could not import the function by that name.

    >>> work_name("json:dumps")
    'json:dumps'
    """
    name = work if isinstance(work, str) else f"{work.__module__}:{work.__qualname__}"
    if name.startswith("__main__:"):
        raise UsageError(f"work {name}: move the function into a module that workers can import")
    found = work_named(name)
    if not isinstance(work, str) and inspect.unwrap(found) is not inspect.unwrap(work):
        raise UsageError(f"work {name}: importing that name gives another object")
    return name


def work_named(name: str) -> Callable[..., Any]:
    """Return the function called "package.module:function".

    Raises `UsageError` if there is none; for a name that an earlier version wrote, the message
    says how to bring the ledger up to date.
    """
    module, separator, attribute = name.partition(":")
    if not separator or not module or not attribute.isidentifier():
        raise UsageError(
            f"work {name!r}: expected a function at the top level of an importable module, "
            "as 'package.module:function'"
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = str(error.name)
        if module == missing or module.startswith(f"{missing}."):
            reason = f"there is no module {missing!r}. {_RENAMED}"
        else:
            reason = f"{module} imports {missing!r}, which is not installed"
        raise UsageError(f"work {name!r}: {reason}") from error
    except ImportError as error:
        raise UsageError(f"work {name!r} cannot be imported: {error}") from error
    except AttributeError as error:
        raise UsageError(f"work {name!r}: {module} has no {attribute!r}. {_RENAMED}") from error
    if not callable(found):
        raise UsageError(f"work {name!r} is not a function")
    return found  # type: ignore[no-any-return]
