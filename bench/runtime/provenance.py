"""What produced a number: version and digest of the code, versions of the libraries."""

from __future__ import annotations

import functools
import hashlib
import platform
from importlib import metadata, resources
from importlib.resources.abc import Traversable

# Files, and folders of them, that no value depends on.
SHOWS_ONLY = (
    "__main__.py",
    "best.py",
    "cli.py",
    "comparing/",
    "console.py",
    "ladder.py",
    "numerals.py",
    "plots/",
    "precision_study.py",
    "progress.py",
    "protocol_study.py",
    "reporting/",
    "study_report.py",
    "table_formats.py",
    "tables.py",
    "terminal.py",
    "uncertainty_populations.py",
    "uncertainty_report.py",
    "uncertainty_study.py",
    "verbs/",
)
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "Pillow")


def version() -> str:
    """The installed version of latentbench, or "0+source" when it runs from a bare checkout."""
    try:
        return metadata.version("latentbench")
    except metadata.PackageNotFoundError:
        return "0+source"


def _sources(folder: Traversable, prefix: str = "") -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            found |= _sources(entry, f"{name}/")
        elif name.endswith(".py"):
            found[name] = entry.read_bytes()
    return found


@functools.cache
def source_digest() -> str:
    """SHA-256 over the package's Python files, those that only show results left out. Cached
    results of other code are never taken for this code's, and a record says which code it comes
    from even between versions.
    """
    digest = hashlib.sha256()
    for name, source in sorted(_sources(resources.files("bench")).items()):
        if not name.startswith(SHOWS_ONLY):
            digest.update(name.encode() + b"\0" + hashlib.sha256(source).digest())
    return digest.hexdigest()


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that values pass through."""
    return {"python": platform.python_version()} | {
        name: metadata.version(name) for name in LIBRARIES
    }
