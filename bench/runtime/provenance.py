"""The versions that a number comes from: of this package and of the libraries below it.

The digest of the code is computed in `bench.runtime.code_digest`.
"""

from __future__ import annotations

import functools
import platform
from importlib import metadata

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "Pillow")


@functools.cache
def version() -> str:
    """Return the installed version of latentbench, or "0+source" in a bare checkout."""
    try:
        return metadata.version("latentbench")
    except metadata.PackageNotFoundError:
        return "0+source"


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that values depend on, by name."""
    return dict(_library_versions())


@functools.cache  # looking one up parses a file of metadata, and a score asks ten times
def _library_versions() -> tuple[tuple[str, str], ...]:
    libraries = ((name, metadata.version(name)) for name in LIBRARIES)
    return ("python", platform.python_version()), *libraries
