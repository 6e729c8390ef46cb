"""Public names of a package that are imported when they are first used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping


def lazy_names(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for a package whose names live in other modules.

    `modules` maps each public name to the full name of the module that defines it. The package
    repeats these imports under `if TYPE_CHECKING:` for type checkers and for
    `bench.runtime.code_digest`.

    >>> getattr_, dir_ = lazy_names("bench.runtime", {"sqrt": "math"})
    >>> getattr_("sqrt")(9.0)
    3.0
    """

    def get(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(modules[name]), name)

    def names() -> list[str]:
        return sorted([*vars(sys.modules[package]), *modules])

    return get, names
