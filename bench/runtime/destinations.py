"""Where results go, looked at before the work that makes them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.errors import UsageError


def require_writable(out: Path, what: str = "results") -> None:
    """Make the folder for `what` before anything is computed. Raises `UsageError`."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UsageError(f"{out}: {what} cannot be written there: {error}") from error
