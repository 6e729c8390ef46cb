"""Why an attempt at a job failed, and what happens next.

    cause         meaning                                     what happens
    memory        out of memory on a GPU or the machine       a stack is halved; a single job is
                                                              retried with `memory_step` plus one
    device        a CUDA error, which breaks its process      retried in a new process
    lost          the working process or node is gone         retried from what its folder holds
    preempted     the cluster took the node back              retried, and not counted
    interrupted   Ctrl-C                                      retried by the next command
    timeout       the time limit passed                       retried if the folder had changed
    disk          no space left, or a quota is used up        everything stops and can be resumed
    result        a result that is not finite JSON            failed
    error         anything else                               failed

Divergence is not a failure but a result: it is recorded once and never retried. Errors are
recognised by class names and messages, so that torch need not be imported.
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
    """Raised inside work whose time limit has passed."""


class WorkerLost(LatentbenchError):
    """The working process ended without an answer; what it recorded is in the ledger."""


class Preempted(LatentbenchError):
    """The cluster took back the node that the work ran on."""


def is_result(error: BaseException) -> bool:
    """Return whether an exception is an outcome of the experiment: its class sets `is_result`.

    Its message is recorded, and its attribute `details` (finite JSON values) if it has one.
    """
    return getattr(type(error), "is_result", False) is True


def cause_of(error: BaseException) -> Cause:
    """Return the cause of an exception, also looking at the exceptions it was raised from.

    >>> cause_of(MemoryError())
    'memory'
    """
    for link in _chain(error):
        cause = _own_cause(link)
        if cause is not None:
            return cause
    return "error"


def _own_cause(error: BaseException) -> Cause | None:  # noqa: PLR0911  (one per cause)
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
