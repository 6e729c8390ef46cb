"""The cache on disk: results addressed by the digest of everything they depend on.

`LATENTBENCH_CACHE`, or `latentbench` below the XDG cache directory, holds one file an entry,
`KIND/KEY`. Entries are written to a temporary name and moved into place, so that a killed run and
two runs at once leave whole entries only; a damaged entry reads as absent. Nothing here is needed
for correctness: deleting any of it costs time only.
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
ENTRY = re.compile(r"[0-9a-f]{64}|\.[0-9a-f]{64}\..*\.tmp")  # and what a killed write left


class KindSize(NamedTuple):
    """Entries and bytes of one kind."""

    num_entries: int
    num_bytes: int


def default_root() -> Path:
    """`LATENTBENCH_CACHE`, or `latentbench` below the XDG cache directory."""
    if configured := os.environ.get("LATENTBENCH_CACHE"):
        return Path(configured)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "latentbench"
    return home_folder("LATENTBENCH_CACHE") / ".cache" / "latentbench"


def home_folder(variable: str) -> Path:
    """The user's home; for an account without one, an error that names the variable to set."""
    try:
        return Path.home()
    except RuntimeError as error:
        raise UsageError(
            f"this account has no home folder; say with {variable} where files may be kept"
        ) from error


def cache_key(parts: Mapping[str, object]) -> str:
    """SHA-256 in hex of the parts as canonical JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Cache:
    """Entries below `root`; with `root=None` nothing is found and nothing is kept."""

    def __init__(self, root: Path | None) -> None:
        self.root = root

    def get(self, kind: str, key: str) -> bytes | None:
        """The bytes of an entry, or None when it is absent or damaged."""
        if self.root is None:
            return None
        try:
            data = (self.root / kind / key).read_bytes()
        except OSError:
            return None
        digest, payload = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
        return payload if hashlib.sha256(payload).digest() == digest else None

    def put(self, kind: str, key: str, payload: bytes) -> None:
        """Keep an entry. A cache that cannot be written (full disk, read-only) is passed over:
        the result at hand is worth more than its copy.
        """
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
        """Entries and bytes by kind."""
        sizes: dict[str, KindSize] = {}
        for path in self._files():
            count, total = sizes.get(path.parent.name, KindSize(0, 0))
            sizes[path.parent.name] = KindSize(count + 1, total + path.stat().st_size)
        return sizes

    def clear(self) -> KindSize:
        """Delete every entry; says how many there were."""
        files = self._files()
        total = sum(path.stat().st_size for path in files)
        for path in files:
            path.unlink(missing_ok=True)
        return KindSize(len(files), total)
