"""Stopping running work: by SIGINT, which lets it save its state, and by a time limit.

In a worker process SIGINT interrupts work only. Between jobs it is remembered, and no further job
starts.
"""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bench.execution.ledger.causes import TaskTimeout

_stopped = threading.Event()
_preempted = threading.Event()


def remember_interrupts() -> None:
    """Let SIGINT between jobs keep further jobs from starting; for worker processes."""
    signal.signal(signal.SIGINT, _remember)


def stop() -> None:
    """Keep further jobs from starting, as SIGINT does."""
    _stopped.set()


def note_preemption() -> None:
    """Record that the cluster takes the node back, which causes the `SystemExit` that follows."""
    _preempted.set()


def is_preempted() -> bool:
    """Return whether `note_preemption` was called in this process."""
    return _preempted.is_set()


def _remember(_number: int, _frame: FrameType | None) -> None:
    _stopped.set()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _stopped.set()
    raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGINT raise `KeyboardInterrupt` inside, unless the work installs another handler.

    Only in a worker process; elsewhere the handling of SIGINT is not changed.
    """
    if not _in_main_thread() or signal.getsignal(signal.SIGINT) is not _remember:
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        if _stopped.is_set():
            raise KeyboardInterrupt
        yield
    finally:
        signal.signal(signal.SIGINT, _remember)


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise `TaskTimeout` inside after `seconds`; never for None.

    In the main thread SIGALRM does it, which also interrupts a waiting system call. In another
    thread the exception is raised at the next Python instruction.
    """
    if seconds is None:
        yield
    elif _in_main_thread():
        with _alarm(seconds):
            yield
    else:
        with _raised_in_thread(seconds):
            yield


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def on_alarm(_number: int, _frame: FrameType | None) -> None:
        raise TaskTimeout(_limit_message(seconds))

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _raised_in_thread(seconds: float) -> Iterator[None]:
    worker = threading.get_ident()
    lock = threading.Lock()
    over = False

    class LimitPassed(TaskTimeout):  # the interpreter raises a class, without arguments
        def __init__(self) -> None:
            super().__init__(_limit_message(seconds))

    def interrupt() -> None:
        with lock:
            if not over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(worker), ctypes.py_object(LimitPassed)
                )

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            over = True
        timer.cancel()


def _limit_message(seconds: float) -> str:
    return f"ran longer than its time limit of {seconds:g} s"


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
