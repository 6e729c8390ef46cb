"""The versions that a number comes from: of this package and of the libraries below it.

The digest of the code is computed in `bench.runtime.code_digest`.
"""

from __future__ import annotations

import platform
from importlib import metadata

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "Pillow")


def version() -> str:
    """Return the installed version of latentbench, or "0+source" in a bare checkout."""
    try:
        return metadata.version("latentbench")
    except metadata.PackageNotFoundError:
        return "0+source"


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that values depend on, by name."""
    return {"python": platform.python_version()} | {
        name: metadata.version(name) for name in LIBRARIES
    }
