"""Files that are written whole or not at all, and files that grow by whole lines.

Everything that Latentbench keeps is written by these two functions. They call the operating system
directly, without a buffer that could be written again when a stream is closed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from contextlib import suppress
from pathlib import Path

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def write_atomically(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Write a file so that it is either complete or unchanged, even after a crash.

    The data go to a temporary file in the same folder, which is flushed to disk and then moved.
    Missing folders are created. Raises `OSError`, and `FileExistsError` without `replace` if the
    file exists.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            _write(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if replace:
            os.replace(temporary, path)  # noqa: PTH105
        else:
            _move_to_free_name(temporary, path)
    except BaseException:
        with suppress(OSError):  # the first error counts
            temporary.unlink()
        raise


def append_line(path: Path, line: bytes, *, sync: bool = True) -> None:
    """Append a line, without its line end, to a file that may not exist yet, under a lock.

    It is one write. If an earlier crash left half a line, the new one begins after it. With `sync`,
    the line is flushed to disk. Raises `OSError`, and leaves the file as it was, if the disk is
    full.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.lseek(descriptor, 0, os.SEEK_END)
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        try:
            _write(descriptor, (b"\n" if torn else b"") + line + b"\n")
            if sync:
                os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    """Write all of the data. Where only a part fits, writing the rest raises the reason."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _move_to_free_name(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)  # unlike a rename, this fails if the name is taken
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():  # on a file system without hard links, the caller must hold a lock
            raise FileExistsError(errno.EEXIST, "already there", str(path)) from error
        os.replace(temporary, path)  # noqa: PTH105
    else:
        temporary.unlink()
