"""A user's own class, named `package.module:Class` on the command line.

Modules are imported from installed packages first, then from the current directory.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

from bench.errors import UsageError

FORM = "package.module:Class"
NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def import_class(kind: str, name: str, method: str | None = None) -> type:
    """Return the class that `package.module:Class` names.

    `kind` says in messages what the class is for, and `method` is the signature of a method that
    it must have. Raises `UsageError`.

    >>> import_class("set", "collections:OrderedDict", "items(self)").__name__
    'OrderedDict'
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"{kind} {name!r}: expected {FORM}")
    module_name, _, qualified = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    importlib.invalidate_caches()  # the file may be newer than the last listing of its folder
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        own = module_name == missing or module_name.startswith(f"{missing}.")
        raise UsageError(
            f"{kind} {name}: there is no module {missing!r}"
            + (
                f"; looked in {here} and where packages are installed"
                if own
                else f", which {module_name} imports"
            )
        ) from error
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"{kind} {name}: importing {module_name} fails: {first_line(error)}"
        ) from error
    for part in qualified.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{kind} {name}: {module_name} has no {qualified!r}")
        found = getattr(found, part)
    if not isinstance(found, type):
        raise UsageError(
            f"{kind} {name}: {qualified} is a {type(found).__name__}, expected a class"
        )
    own = method is None or any(method.partition("(")[0] in base.__dict__ for base in found.__mro__)
    if not own:
        raise UsageError(f"{kind} {name}: {qualified} has no method {method}")
    return found


def construct(cls: type, kind: str, name: str, device: str) -> Any:
    """Return an instance, made with `device=` when the class takes one, else without arguments.

    Raises `UsageError` when the constructor fails.
    """
    try:
        return cls(device=device) if _takes_device(cls) else cls()
    except (Exception, SystemExit) as error:
        raise UsageError(f"{kind} {name}: its constructor fails: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """Return the type of an error and the first line of its message, at most 300 characters."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def _takes_device(cls: type) -> bool:
    try:
        parameters = inspect.signature(cls).parameters.values()
    except (ValueError, TypeError):  # a constructor in C without a signature
        return False
    return any(
        p.kind is p.VAR_KEYWORD or (p.name == "device" and p.kind is not p.POSITIONAL_ONLY)
        for p in parameters
    )
