"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import threading
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
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if replace:
            temporary.replace(path)
        else:
            _move_to_free_name(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _move_to_free_name(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)  # unlike a rename, this fails if the name is taken
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():  # on a file system without hard links, the caller must hold a lock
            raise FileExistsError(errno.EEXIST, "already there", str(path)) from error
        temporary.replace(path)
