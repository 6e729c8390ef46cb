"""Claims: the right to work on a job, an flock on a file held by the working process.

The kernel releases the lock when the last descriptor of the file is closed, whenever the process
dies, so there are no stale locks. On NFS, Linux sends an flock to the server as a lock on the whole
file (since 2.6.12); a node that vanishes loses it when the server's lease expires, by default after
90 s. Mounts with `nolock` or `local_lock=flock` keep the lock on one machine: do not share a ledger
over those. Lustre needs the mount option `flock`. A child process that the work forks holds the
lock too, until it ends.

NFS may treat two locks of one process as one, so each process also remembers which it holds.
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
    """An exclusive lock. As a context manager, it is released at the end."""

    def __init__(self, name: str, descriptor: int) -> None:
        self._name = name
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock, if it has not been released before."""
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
    """Lock `path`, creating the file if needed; return None if another process or thread has it.

    Raises `OSError` if the file cannot be created or locked at all.
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
    """Call `try_claim` until it succeeds or `seconds` have passed.

    `is_claimed` in another process holds the lock for an instant.
    """
    end = time.monotonic() + seconds
    while True:
        claim = try_claim(path)
        if claim is not None or time.monotonic() >= end:
            return claim
        time.sleep(_POLL_S)


def is_claimed(path: Path) -> bool:
    """Return whether a live process holds the lock, by taking a shared lock for an instant."""
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
