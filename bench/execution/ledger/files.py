"""The JSON files of a ledger: written whole or not at all, and renamed if they are unreadable."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import LatentbenchError, reason_of
from bench.runtime.whole_files import write_atomically

CORRUPT = ".corrupt"


class Corrupt(LatentbenchError):
    """A file of a ledger that is unreadable; the message names it."""


def json_bytes(values: Mapping[str, Any]) -> bytes:
    """Return the bytes of a JSON object. Raises `ValueError` for numbers that are not finite."""
    return (json.dumps(values, indent=1, allow_nan=False) + "\n").encode()


def json_digest(values: object) -> str:
    """Return the SHA-256 of a JSON value, which does not depend on the order of keys.

    >>> json_digest({"a": 1, "b": 2}) == json_digest({"b": 2, "a": 1})
    True
    """
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def json_problem(value: object, name: str) -> str | None:  # noqa: PLR0911  (one per type)
    """Return why a value is not finite JSON and where, or None if it is.

    >>> json_problem({"loss": [0.5, float("nan")]}, "result")
    'result.loss[1] is nan, which is not finite'
    """
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
    """Return the object in a JSON file, or None if there is no file.

    Raises `Corrupt`, and `PermissionError` for a file that this user may not read.
    """
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except PermissionError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise Corrupt(f"{path} cannot be read: {reason_of(error)}") from error
    if not isinstance(values, dict):
        raise Corrupt(f"{path} cannot be read: expected a JSON object")
    return values


def write_json(path: Path, values: Mapping[str, Any], *, replace: bool = True) -> None:
    """Write a JSON object, whole or not at all.

    Raises `ValueError` for numbers that are not finite, `OSError`, and without `replace`
    `FileExistsError` if the file exists.
    """
    write_atomically(path, json_bytes(values), replace=replace)


def set_aside(path: Path) -> Path:
    """Rename a file or folder to a free name ending in .corrupt, and return that name."""
    number = 1
    while True:
        suffix = CORRUPT if number == 1 else f"-{number}{CORRUPT}"
        target = path.with_name(path.name + suffix)
        if not target.exists():
            path.rename(target)
            return target
        number += 1


def folder_state(folder: Path) -> str:
    """Return a digest of the names, sizes and times of the files below a folder."""
    lines = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                found = path.stat(follow_symlinks=False)
            except OSError:  # deleted meanwhile
                continue
            lines.append(f"{path.relative_to(folder)}\0{found.st_size}\0{found.st_mtime_ns}")
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogatepass")).hexdigest()
