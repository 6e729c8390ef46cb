"""What produced a number: version and digest of the code, versions of the libraries, the device."""

from __future__ import annotations

import functools
import hashlib
import platform
from importlib import metadata, resources
from importlib.resources.abc import Traversable

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
    """SHA-256 over the package's Python files that a value can depend on: metrics, extractors,
    statistics and intake. Cached results of other code are never taken for this code's.
    """
    digest = hashlib.sha256()
    package = resources.files("bench")
    parts = _sources(package / "metrics", "metrics/") | _sources(
        package / "extractors", "extractors/"
    )
    parts["stats.py"] = (package / "stats.py").read_bytes()
    for name in sorted(parts):
        digest.update(name.encode() + b"\0" + hashlib.sha256(parts[name]).digest())
    return digest.hexdigest()


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that values pass through."""
    return {"python": platform.python_version()} | {
        name: metadata.version(name) for name in LIBRARIES
    }


def device_description(device: str) -> str:
    """The device in words: the GPU's name, or the processor with its number of threads."""
    import torch  # noqa: PLC0415  (heavy; the version alone needs it not)

    if device.startswith("cuda"):
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({platform.machine()}, {torch.get_num_threads()} threads)"
