"""Causes by the texts and names that torch, CUDA and the system use, and what follows from them."""

from __future__ import annotations

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.execution.ledger.attempts import (
    Attempt,
    largest_stack,
    may_run,
    next_memory_step,
    now,
)
from bench.execution.ledger.causes import (
    NEVER_COUNTED,
    Cause,
    Preempted,
    TaskTimeout,
    WorkerLost,
    cause_of,
    is_result,
)
from tests.execution.works import Diverged, TrainingDiverged


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


def wrapped(error: Exception) -> Exception:
    """As an engine would raise it again with the run's name."""
    outer = ValueError("run 3 stopped")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OutOfMemoryError("Tried to allocate 2.00 GiB"), "memory"),
        (MemoryError(), "memory"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "memory"),
        (RuntimeError("CUDA error: out of memory"), "memory"),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
            "memory",
        ),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            "memory",
        ),
        (wrapped(OutOfMemoryError("x")), "memory"),
        (RuntimeError("CUDA error: device-side assert triggered"), "device"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk"),
        (RuntimeError("PytorchStreamWriter failed: No space left on device"), "disk"),
        (wrapped(OSError(errno.ENOSPC, "full")), "disk"),
        (KeyboardInterrupt(), "interrupted"),
        (Preempted("taken"), "preempted"),
        (TaskTimeout("late"), "timeout"),
        (WorkerLost("gone"), "lost"),
        (ValueError("the folder ran out of memory cards"), "error"),
        (RuntimeError("shapes do not match"), "error"),
        (PermissionError(errno.EACCES, "no"), "error"),
    ],
)
def test_causes(error: BaseException, cause: str) -> None:
    assert cause_of(error) == cause


def test_a_loop_of_causes_ends() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert cause_of(one) == "error"


def test_torchs_own_exceptions_are_told_by_their_names() -> None:
    import torch

    assert cause_of(torch.OutOfMemoryError("CUDA out of memory.")) == "memory"
    with pytest.raises(RuntimeError) as failure:
        torch.empty(2**60)
    assert cause_of(failure.value) == "memory"


def test_results_are_told_by_an_attribute_of_the_class() -> None:
    assert is_result(Diverged("nan"))
    assert is_result(TrainingDiverged("nan"))
    assert not is_result(ValueError("nan"))


def attempt(cause: Cause | None, *, stack: int = 1, progress: bool = False, step: int = 0,
            whole_call: bool = True) -> Attempt:  # fmt: skip
    return Attempt(
        number=1, started=now(), ended=now(), host="h", pid=1, executor="inline", stack=stack,
        memory_step=step, folder_state="", outcome="failed" if cause else "done", cause=cause,
        progress=progress, whole_call=whole_call,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cause", "again"),
    [
        ("memory", True), ("device", True), ("lost", True), ("preempted", True),
        ("interrupted", True), ("disk", True), ("timeout", False), ("result", False),
        ("error", False),
    ],
)  # fmt: skip
def test_what_is_tried_again(cause: Cause, again: bool) -> None:
    assert may_run([attempt(cause)], 2) is again
    assert may_run([attempt(cause)], 1) is (cause in NEVER_COUNTED)


def test_a_timeout_is_tried_again_where_something_was_saved() -> None:
    assert may_run([attempt("timeout", progress=True)], 2)
    assert not may_run([attempt("timeout", progress=True)] * 2, 2)


def test_memory_steps_and_stacks() -> None:
    assert next_memory_step([]) == 0
    assert next_memory_step([attempt("memory", step=1)]) == 2
    assert next_memory_step([attempt("memory", step=1), attempt("lost", step=2)]) == 2
    assert next_memory_step([attempt("memory", stack=8)]) == 0  # the stack is halved instead
    assert largest_stack([], 64) == 64
    assert largest_stack([attempt("memory", stack=64)], 64) == 32
    assert largest_stack([attempt("memory", stack=3), attempt("lost", stack=1)], 64) == 1
    assert largest_stack([attempt("error", stack=8)], 64) == 4
    assert largest_stack([attempt("error", stack=8, whole_call=False)], 64) == 64


CAUSES = st.sampled_from(["memory", "device", "lost", "timeout", "result", "error"])


@given(causes=st.lists(CAUSES, min_size=40, max_size=40), stack=st.integers(1, 64),
       limit=st.integers(1, 5), progress=st.booleans(), whole=st.booleans())  # fmt: skip
def test_a_job_is_never_tried_for_ever(
    causes: list[Cause], stack: int, limit: int, progress: bool, whole: bool
) -> None:
    """At most `limit` attempts of its own, and one for each halving: log2(64) = 6."""
    done: list[Attempt] = []
    for cause in causes:
        if not may_run(done, limit):
            break
        size = largest_stack(done, stack)
        step = next_memory_step(done)
        done.append(attempt(cause, stack=size, progress=progress, step=step, whole_call=whole))
    assert len(done) <= limit + 6
