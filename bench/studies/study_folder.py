"""The folder of a study: `records.jsonl` with one measured row in each line, and a README made
from it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.errors import NothingFoundError
from bench.runtime.whole_files import write_atomically

RECORDS = "records.jsonl"
README = "README.md"

Row = dict[str, Any]


def write_rows(out: Path, rows: Sequence[Row]) -> None:
    """Write the rows of a study, replacing earlier ones."""
    lines = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
    write_atomically(out / RECORDS, lines.encode())


def read_rows(out: Path) -> list[Row]:
    """Return the rows of a study. Raises `NothingFoundError` when it has not been run."""
    path = out / RECORDS
    if not path.is_file():
        raise NothingFoundError(f"{path}: the study has no records; run it without --render first")
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_page(out: Path, lines: Sequence[str]) -> None:
    """Write the README of a study."""
    write_atomically(out / README, ("\n".join(lines).rstrip("\n") + "\n").encode())
