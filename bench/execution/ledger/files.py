"""JSON files that are whole or absent, and what becomes of those that are neither."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import LatentbenchError

CORRUPT = ".corrupt"
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class Corrupt(LatentbenchError):
    """A file of a ledger that cannot be read as what it should be; the message names it."""


def json_bytes(values: Mapping[str, Any]) -> bytes:
    """One JSON object. Raises `ValueError` for numbers that are not finite."""
    return (json.dumps(values, indent=1, allow_nan=False) + "\n").encode()


def json_digest(values: object) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def json_problem(value: object, name: str) -> str | None:  # noqa: PLR0911  (one for each type)
    """Why a value is not finite JSON, with the place of the first offence; None when it is."""
    if value is None or isinstance(value, str | bool | int):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{name} is {value}, which is not finite"
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                return f"{name} has the key {key!r}, which is not text"
            problem = json_problem(item, f"{name}.{key}")
            if problem is not None:
                return problem
        return None
    if isinstance(value, list | tuple):
        for number, item in enumerate(value):
            problem = json_problem(item, f"{name}[{number}]")
            if problem is not None:
                return problem
        return None
    return f"{name} is a {type(value).__name__}, which JSON does not have"


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file; None if there is no file. Raises `Corrupt`, and `PermissionError` for
    one that may be sound but is not ours to read.
    """
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except PermissionError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise Corrupt(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise Corrupt(f"{path} cannot be read: expected a JSON object")
    return values


def write_json(path: Path, values: Mapping[str, Any], *, replace: bool = True) -> None:
    """Write beside, flush to disk, move into place; without `replace` only where nothing is.

    Raises `FileExistsError`, and `OSError` as the disk gives it; never leaves half a file.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(json_bytes(values))
            stream.flush()
            os.fsync(stream.fileno())
        if replace:
            temporary.replace(path)
        else:
            _move_to_free_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _move_to_free_place(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)  # unlike a rename, fails where something is
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():  # a file system without links; the claim keeps others away
            raise FileExistsError(errno.EEXIST, "already there", str(path)) from error
        temporary.replace(path)


def set_aside(path: Path) -> Path:
    """Rename what stands at `path` to a free name ending in .corrupt; gives the name."""
    number = 1
    while True:
        suffix = CORRUPT if number == 1 else f"-{number}{CORRUPT}"
        target = path.with_name(path.name + suffix)
        if not target.exists():
            path.rename(target)
            return target
        number += 1


def folder_state(folder: Path) -> str:
    """A digest of the names, sizes and times of the files below a folder."""
    lines = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                found = path.stat(follow_symlinks=False)
            except OSError:  # gone since
                continue
            lines.append(f"{path.relative_to(folder)}\0{found.st_size}\0{found.st_mtime_ns}")
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogatepass")).hexdigest()
