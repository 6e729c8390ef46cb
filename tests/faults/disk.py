"""A disk that fails: the N-th operation of a writer on a folder raises, fills up or never returns.

`Disk` replaces the functions of `os` and `open` that change files below one folder. Each call is an
operation with a number. A fault happens at one of them:

    EIO         it raises, without effect; later operations work
    ENOSPC      the disk is full: it raises, and so does every later open and write
    short       half of a write fits, then the disk is full
    gone        it raises EIO, and so does every later operation, clean-up included
    kill        the process is killed before it
    torn        the process is killed in the middle of a write

A killed process changes nothing more: no `finally`, no `except` and no flush of a buffer has an
effect. `Killed` unwinds the stack of the test, and every operation after it raises it again instead
of being done, so that the folder is exactly as the process left it.

`fsync` is not done for real, only noted: a file that is moved to its place before it was flushed
fails the test, since a power cut could leave an empty file there.

`Unseen` holds the disk to its word: Python's audit events list every file that is opened for
writing, moved or removed, whoever does it, and must agree with the operations.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
ERRORS = ("EIO", "ENOSPC", "short", "gone")
KILLS = ("kill", "torn")
ONLY_WRITES = ("short", "torn")
NO_ROOM_NEEDED = ("replace", "rename", "unlink", "rmdir", "rmtree", "ftruncate", "fsync")


class Killed(BaseException):
    """The process is gone."""


def _absolute(path: Any) -> str:
    """Return an absolute path; a link at its end stays what it is."""
    return os.path.abspath(os.fsdecode(path))  # noqa: PTH100


class Disk:
    """The operations on files below `root`, numbered from 0, with a fault at number `at`."""

    def __init__(self, root: Path, fault: str | None = None, at: int = -1) -> None:
        self.root = os.path.realpath(root)
        self.fault, self.at = fault, at
        self.operations: list[str] = []
        self.versions: dict[str, list[bytes]] = {}  # of files that were moved to their places
        self.happened = False
        self.is_dead = self.is_full = self.is_gone = False
        self._paths: dict[int, str] = {}  # by descriptor opened for writing
        self._unflushed: set[str] = set()

    def is_below(self, path: Any) -> bool:
        if isinstance(path, int):
            return path in self._paths
        return _absolute(path).startswith(self.root + os.sep)

    def do(self, name: str, act: Callable[[], Any]) -> Any:
        """Do one operation other than a write, or let it fail."""
        self._fail_if_broken(name)
        if self._is_here(name):
            self._strike(name)
        return act()

    def write(self, size: int, act: Callable[[int], int]) -> int:
        """Write: `act` writes so many bytes and returns their number."""
        self._fail_if_broken("write")
        if not self._is_here("write"):
            return act(size)
        if self.fault in ONLY_WRITES:
            done = act(size // 2)
            self.is_dead, self.is_full = self.fault == "torn", self.fault == "short"
            if self.is_dead:
                raise Killed
            return done
        self._strike("write")
        raise AssertionError(self.fault)

    def opened(self, descriptor: int, path: str) -> int:
        self._paths[descriptor] = path
        return descriptor

    def wrote(self, descriptor: int) -> None:
        self._unflushed.add(self._paths[descriptor])

    def flushed(self, descriptor: int) -> None:
        self._unflushed.discard(self._paths[descriptor])

    def closed(self, descriptor: int) -> None:
        self._paths.pop(descriptor, None)

    def moved(self, source: Any) -> None:
        path = _absolute(source)
        assert path not in self._unflushed, f"{path} is moved to its place before it is flushed"

    def arrived(self, target: Any) -> None:
        """Note the version of a file that was moved to its place."""
        path = Path(_absolute(target))
        if path.is_file():
            name = path.relative_to(self.root).as_posix()
            self.versions.setdefault(name, []).append(path.read_bytes())

    def _is_here(self, name: str) -> bool:
        self.operations.append(name)
        self.happened = self.happened or len(self.operations) - 1 == self.at
        return len(self.operations) - 1 == self.at

    def _fail_if_broken(self, name: str) -> None:
        if self.is_dead:
            raise Killed
        if self.is_gone:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.is_full and name not in NO_ROOM_NEEDED:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _strike(self, name: str) -> None:
        if self.fault in KILLS:
            self.is_dead = True
            raise Killed
        code = errno.ENOSPC if self.fault in ("ENOSPC", "short") else errno.EIO
        self.is_full, self.is_gone = code == errno.ENOSPC, self.fault == "gone"
        raise OSError(code, f"{os.strerror(code)} ({name})")


def faults_of(operation: str) -> tuple[str, ...]:
    """The faults that make a difference at an operation."""
    return tuple(f for f in ERRORS + KILLS if operation == "write" or f not in ONLY_WRITES)


class _File(io.FileIO):
    """The raw file below a stream of `open`."""

    def __init__(self, disk: Disk, file: Any, mode: str) -> None:
        self._disk = disk
        super().__init__(file, mode)
        disk.opened(self.fileno(), str(file) if not isinstance(file, int) else disk._paths[file])

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if self._disk.is_dead:
            return len(view)  # the buffer of a dead process reaches no disk
        self._disk.wrote(self.fileno())
        return self._disk.write(len(view), lambda size: super(_File, self).write(view[:size]) or 0)

    def truncate(self, size: int | None = None) -> int:
        return self._disk.do("ftruncate", lambda: super(_File, self).truncate(size))  # type: ignore[no-any-return]

    def close(self) -> None:
        if not self.closed:
            self._disk.closed(self.fileno())
        super().close()


@contextmanager
def failing(disk: Disk) -> Iterator[Disk]:  # noqa: C901  (a function for each that is replaced)
    """Replace what changes files, for operations below the disk's root."""
    real = {name: getattr(os, name) for name in _PATH_CALLS}
    real_open, real_os_open, real_write = io.open, os.open, os.write
    real_ftruncate, real_close, real_rmtree = os.ftruncate, os.close, shutil.rmtree

    def call(name: str) -> Callable[..., Any]:
        def replaced(path: Any, *arguments: Any, **options: Any) -> Any:
            if options.get("dir_fd") is not None or not disk.is_below(path):
                return real[name](path, *arguments, **options)
            if name in ("replace", "rename", "link"):
                disk.moved(path)
            shown = "unlink" if name == "remove" else name
            found = disk.do(shown, lambda: real[name](path, *arguments, **options))
            if name in ("replace", "rename", "link"):
                disk.arrived(arguments[0])
            return found

        return replaced

    def os_open(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if not flags & WRITING or options.get("dir_fd") is not None or not disk.is_below(path):
            return real_os_open(path, flags, *arguments, **options)
        descriptor = disk.do("open", lambda: real_os_open(path, flags, *arguments, **options))
        return disk.opened(descriptor, _absolute(path))

    def write(descriptor: int, data: Any) -> int:
        if descriptor not in disk._paths:
            return real_write(descriptor, data)
        view = memoryview(data)
        disk.wrote(descriptor)
        return disk.write(len(view), lambda size: real_write(descriptor, view[:size]))

    def fsync(descriptor: int) -> None:
        if descriptor not in disk._paths:
            return
        disk.do("fsync", lambda: disk.flushed(descriptor))

    def ftruncate(descriptor: int, size: int) -> None:
        if descriptor not in disk._paths:
            return real_ftruncate(descriptor, size)
        return disk.do("ftruncate", lambda: real_ftruncate(descriptor, size))  # type: ignore[no-any-return]

    def close(descriptor: int) -> None:
        disk.closed(descriptor)
        real_close(descriptor)

    def opened(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **options: Any) -> Any:
        if not set(mode) & set("wax+") or not disk.is_below(file):
            return real_open(file, mode, buffering, *rest, **options)
        raw_mode = mode.replace("t", "")
        raw = disk.do("open", lambda: _File(disk, file, raw_mode))
        if buffering == 0:
            return raw
        stream = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return stream
        return io.TextIOWrapper(stream, *rest, **{k: options[k] for k in options if k != "closefd"})

    def rmtree(path: Any, *arguments: Any, **options: Any) -> None:
        if not disk.is_below(path):
            return real_rmtree(path, *arguments, **options)
        try:
            return disk.do("rmtree", lambda: real_rmtree(path, *arguments, **options))  # type: ignore[no-any-return]
        except OSError:
            if not (arguments and arguments[0]) and not options.get("ignore_errors"):
                raise

    patches = {name: call(name) for name in _PATH_CALLS} | {
        "open": os_open,
        "write": write,
        "fsync": fsync,
        "ftruncate": ftruncate,
        "close": close,
    }
    with ExitStack() as patched:
        patched.enter_context(mock.patch.multiple(os, **patches))
        for module in (io, builtins):
            patched.enter_context(mock.patch.object(module, "open", opened))
        patched.enter_context(mock.patch.object(shutil, "rmtree", rmtree))
        yield disk


_PATH_CALLS = ("replace", "rename", "link", "unlink", "remove", "rmdir", "mkdir")
_EVENTS = {
    "os.rename": "moved",
    "os.link": "link",
    "os.remove": "unlink",
    "os.rmdir": "rmdir",
    "os.mkdir": "mkdir",
    "os.truncate": "ftruncate",
    "shutil.rmtree": "rmtree",
}


class Unseen:
    """What Python's audit events say about a folder, for comparison with a `Disk`."""

    _current: Unseen | None = None
    _is_hooked = False

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._seen: Counter[str] = Counter()

    def __enter__(self) -> Unseen:
        if not Unseen._is_hooked:
            sys.addaudithook(Unseen._hear)  # for the rest of the process; silent unless entered
            Unseen._is_hooked = True
        Unseen._current = self
        return self

    def __exit__(self, *_: object) -> None:
        Unseen._current = None

    @staticmethod
    def _hear(event: str, arguments: tuple[Any, ...]) -> None:
        current = Unseen._current
        if current is None or (event != "open" and event not in _EVENTS):
            return
        path = arguments[0]
        is_writing = event != "open" or bool((arguments[2] or 0) & WRITING)
        if is_writing and path is not None and current._disk.is_below(path):
            current._seen[_EVENTS.get(event, "open")] += 1

    def require_none(self) -> None:
        """Raise unless every event was an operation of the disk."""
        names = {"replace": "moved", "rename": "moved"}
        known = Counter(names.get(name, name) for name in self._disk.operations)
        del known["write"], known["fsync"]
        assert self._seen == known, "a writer goes past the disk of the test"
