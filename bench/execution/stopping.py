"""How running work is stopped: by SIGINT, which lets it save, and by a time limit.

A worker process of ours hears SIGINT at any moment, but only work is interrupted by it; between
jobs it is remembered, and no further job begins.
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
    """For worker processes: SIGINT between jobs stops those that have not begun."""
    signal.signal(signal.SIGINT, _remember)


def stop() -> None:
    """As if SIGINT had come."""
    _stopped.set()


def note_preemption() -> None:
    """The cluster takes the node back: the `SystemExit` that follows is its doing."""
    _preempted.set()


def is_preempted() -> bool:
    """Whether `note_preemption` was called in this process."""
    return _preempted.is_set()


def _remember(_number: int, _frame: FrameType | None) -> None:
    _stopped.set()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _stopped.set()
    raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """While inside, SIGINT raises `KeyboardInterrupt`, unless the work handles it otherwise.

    In a worker process only; elsewhere SIGINT already means what its program wants it to mean.
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
    """`TaskTimeout` is raised inside once `seconds` are over; None: never.

    In the main thread by SIGALRM, which also ends a system call that waits; in another thread by
    an exception that arrives at its next step of Python.
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
    def late(_number: int, _frame: FrameType | None) -> None:
        raise TaskTimeout(f"longer than the {seconds:g} s that it may take")

    before = signal.signal(signal.SIGALRM, late)
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

    class Late(TaskTimeout):
        def __init__(self) -> None:
            super().__init__(f"longer than the {seconds:g} s that it may take")

    def late() -> None:
        with lock:
            if not over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(worker), ctypes.py_object(Late)
                )

    timer = threading.Timer(seconds, late)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            over = True
        timer.cancel()


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
