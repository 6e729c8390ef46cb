"""This package as a wheel: a bundle carries it, because the package is on no index.

A wheel is a zip of the package's files and of its metadata (binary distribution format 1.0). The
same files give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import io
import zipfile
from importlib import metadata
from pathlib import Path

from bench.errors import UsageError

DISTRIBUTION = "latentbench"
SKIPPED = ("__pycache__", ".mypy_cache", ".ruff_cache")
MOMENT = (1980, 1, 1, 0, 0, 0)  # zip archives know no earlier time


def wheel() -> tuple[str, bytes]:
    """Return the file name and the bytes of a wheel of the installed package.

    Raises `UsageError` when it is not installed.
    """
    try:
        installed = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError as error:
        raise UsageError(
            f"{DISTRIBUTION} is not installed, and a bundle carries it: pip install . in the "
            "checkout first"
        ) from error
    version = installed.version.replace("-", "_")
    info = f"{DISTRIBUTION}-{version}.dist-info"
    files = dict(_package_files(installed))
    described = installed.read_text("METADATA") or installed.read_text("PKG-INFO") or ""
    files[f"{info}/METADATA"] = described.encode()
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: latentbench\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    files[f"{info}/entry_points.txt"] = (installed.read_text("entry_points.txt") or "").encode()
    files[f"{info}/top_level.txt"] = (installed.read_text("top_level.txt") or "").encode()
    lines = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()
    return f"{DISTRIBUTION}-{version}-py3-none-any.whl", archive(files)


def archive(files: dict[str, bytes], executable: tuple[str, ...] = ()) -> bytes:
    """Return a zip of files by name, the same bytes for the same files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, MOMENT)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if name in executable else 0o100644) << 16
            target.writestr(entry, data)
    return stream.getvalue()


def _package_files(installed: metadata.Distribution) -> list[tuple[str, bytes]]:
    found = []
    for package in sorted((installed.read_text("top_level.txt") or "").split()):
        root = Path(str(importlib.import_module(package).__file__)).parent
        found += [
            (f"{package}/{path.relative_to(root).as_posix()}", path.read_bytes())
            for path in sorted(root.rglob("*"))
            if path.is_file() and not set(path.relative_to(root).parts) & set(SKIPPED)
        ]
    return found


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
