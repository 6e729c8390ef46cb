"""Why an attempt at a job ended, and what follows from it.

    cause         what it was                                   what is done
    memory        out of memory on a GPU or the machine         a stack is halved; a single job is
                                                                again, one `memory_step` up
    device        a CUDA error, which spoils its process        again, in a new process
    lost          the process or node that worked is gone       again, where its folder stands
    preempted     the cluster took the node back                again, and never counted
    interrupted   Ctrl-C                                        by the next command
    timeout       longer than the time allowed                  again if the folder had changed
    disk          no space left, or a quota used up             everything stops, resumable
    result        a result that is not finite JSON              failed
    error         anything else                                 failed

Divergence is no cause: it is a result, recorded once and never tried again. Errors are told apart
by the names of their classes and their texts, so that torch need not be loaded.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from typing import Literal

from bench.errors import LatentbenchError

Cause = Literal[
    "memory",
    "device",
    "lost",
    "preempted",
    "interrupted",
    "timeout",
    "disk",
    "result",
    "error",
]

NEVER_COUNTED: frozenset[str] = frozenset({"preempted", "interrupted", "disk"})
TRIED_AGAIN: frozenset[str] = frozenset({"memory", "device", "lost"})

_MEMORY_TEXT = re.compile(
    r"out of memory|_STATUS_ALLOC_FAILED|can't allocate memory|not enough memory: you tried",
    re.IGNORECASE,
)
_DEVICE_TEXT = re.compile(r"CUDA error:|CUDNN_STATUS_EXECUTION_FAILED|AcceleratorError")
_DISK_TEXT = re.compile(r"No space left on device|Disk quota exceeded", re.IGNORECASE)
_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT})


class TaskTimeout(LatentbenchError):
    """Raised inside work that has run for longer than it may."""


class WorkerLost(LatentbenchError):
    """The process that worked is gone without a word; what it recorded is in the ledger."""


class Preempted(LatentbenchError):
    """The cluster took back the node that worked."""


def is_result(error: BaseException) -> bool:
    """Return whether an exception is an outcome of the experiment: its class sets `is_result`.

    Its message is recorded, and its attribute `details` (finite JSON values) if it has one.
    """
    return getattr(type(error), "is_result", False) is True


def cause_of(error: BaseException) -> Cause:
    """The cause of an exception, of what it was explicitly raised from as well."""
    for link in _chain(error):
        cause = _own_cause(link)
        if cause is not None:
            return cause
    return "error"


def _own_cause(error: BaseException) -> Cause | None:  # noqa: PLR0911  (one for each cause)
    text = str(error)
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, Preempted):
        return "preempted"
    if isinstance(error, TaskTimeout):
        return "timeout"
    if isinstance(error, WorkerLost):
        return "lost"
    if number in _DISK_ERRORS or _DISK_TEXT.search(text):
        return "disk"
    names = {parent.__name__ for parent in type(error).__mro__}
    allocates = isinstance(error, RuntimeError) and _MEMORY_TEXT.search(text)
    if number == errno.ENOMEM or names & {"MemoryError", "OutOfMemoryError"} or allocates:
        return "memory"
    if isinstance(error, RuntimeError) and _DEVICE_TEXT.search(text):
        return "device"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__
