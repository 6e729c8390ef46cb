"""The cache on disk: results addressed by the digest of everything they depend on.

Each entry is one file, `KIND/KEY`, in the folder `LATENTBENCH_CACHE`, or in `latentbench` in the
XDG cache folder. Entries are written whole or not at all, so killed and concurrent runs do no harm;
a damaged entry counts as absent. Deleting entries costs time and changes no result.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bench.errors import UsageError
from bench.runtime.whole_files import write_atomically

DIGEST_BYTES = 32
KINDS = ("code", "content", "embeddings", "exhibits", "features", "held-out", "hints", "scores")
ENTRY = re.compile(r"[0-9a-f]{64}|\.[0-9a-f]{64}\..*\.tmp")  # or a temporary file of a killed run


class KindSize(NamedTuple):
    """The number of entries of one kind, and their bytes."""

    num_entries: int
    num_bytes: int


def default_root() -> Path:
    """Return the cache's folder: `LATENTBENCH_CACHE`, or `latentbench` in the XDG cache folder.

    Raises `UsageError` for an account without a home folder.
    """
    if configured := os.environ.get("LATENTBENCH_CACHE"):
        return Path(configured)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "latentbench"
    return home_folder("LATENTBENCH_CACHE") / ".cache" / "latentbench"


def home_folder(variable: str) -> Path:
    """Return the user's home folder.

    Raises `UsageError`, which names the environment variable to set, if there is none.
    """
    try:
        return Path.home()
    except RuntimeError as error:
        raise UsageError(
            f"this account has no home folder; set {variable} to a folder for such files"
        ) from error


def cache_key(parts: Mapping[str, object]) -> str:
    """Return the SHA-256, in hex, of the parts as canonical JSON.

    >>> cache_key({"seed": 0, "n": 10}) == cache_key({"n": 10, "seed": 0})
    True
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Cache:
    """A cache in the folder `root`. With `root=None` it finds and stores nothing."""

    def __init__(self, root: Path | None) -> None:
        self.root = root

    def get(self, kind: str, key: str) -> bytes | None:
        """Return the bytes of an entry, or None if it is absent or damaged."""
        if self.root is None:
            return None
        try:
            data = (self.root / kind / key).read_bytes()
        except OSError:
            return None
        digest, payload = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
        return payload if hashlib.sha256(payload).digest() == digest else None

    def put(self, kind: str, key: str, payload: bytes) -> None:
        """Store an entry. Does nothing if the cache cannot be written (full disk, read-only)."""
        if self.root is None:
            return
        try:
            write_atomically(self.root / kind / key, hashlib.sha256(payload).digest() + payload)
        except OSError:
            return

    def _files(self) -> list[Path]:
        if self.root is None or not self.root.is_dir():
            return []
        entries = (path for kind in KINDS for path in (self.root / kind).glob("*"))
        return sorted(path for path in entries if ENTRY.fullmatch(path.name) and path.is_file())

    def sizes(self) -> dict[str, KindSize]:
        """Return the number of entries and their bytes, by kind."""
        sizes: dict[str, KindSize] = {}
        for path in self._files():
            count, total = sizes.get(path.parent.name, KindSize(0, 0))
            sizes[path.parent.name] = KindSize(count + 1, total + path.stat().st_size)
        return sizes

    def clear(self) -> KindSize:
        """Delete every entry, and return their number and bytes."""
        files = self._files()
        total = sum(path.stat().st_size for path in files)
        for path in files:
            path.unlink(missing_ok=True)
        return KindSize(len(files), total)
