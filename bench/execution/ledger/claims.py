"""The right to work on a job: an flock on a file, held by the process that works.

The kernel drops the lock when the last descriptor of the file closes, so at whatever moment the
process dies, and no stale lock is ever left to judge. On NFS, Linux sends an flock to the server
as a lock of the whole file (since 2.6.12; mounts with `nolock` or `local_lock=flock` keep it on
one machine: do not share a ledger over those); a node that vanishes loses it when the server's
lease runs out, by default after 90 s. On Lustre the mount option `flock` is needed. A child that
the work forks shares the lock until it ends too.

NFS may treat two locks of one process as one, so a process also remembers what it holds.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_POLL_S = 0.02
_held: set[str] = set()
_held_lock = threading.Lock()


class Claim:
    """An exclusive lock that is held; a context manager that gives it back."""

    def __init__(self, name: str, descriptor: int) -> None:
        self._name = name
        self._descriptor = descriptor

    def release(self) -> None:
        """Give it back; again does nothing."""
        with _held_lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
                _held.discard(self._name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def try_claim(path: Path) -> Claim | None:
    """The lock on `path`, which is made if need be; None when another process or thread has it.

    Raises `OSError` when the file cannot be made or locked at all.
    """
    name = os.path.realpath(path)
    with _held_lock:
        if name in _held:
            return None
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        _held.add(name)
        return Claim(name, descriptor)


def claim_within(path: Path, seconds: float) -> Claim | None:
    """As `try_claim`, again until `seconds` are over: somebody may only be looking."""
    end = time.monotonic() + seconds
    while True:
        claim = try_claim(path)
        if claim is not None or time.monotonic() >= end:
            return claim
        time.sleep(_POLL_S)


def is_claimed(path: Path) -> bool:
    """Whether a live process holds the lock. Looks by taking it for an instant, shared."""
    name = os.path.realpath(path)
    with _held_lock:
        if name in _held:
            return True
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False
