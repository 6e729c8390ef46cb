"""The study's rows: one line of records.jsonl for each data set, recipe, seed and sampling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.errors import InputError

Key = tuple[str, str, int, str]  # data, recipe, seed, sampling
Row = dict[str, Any]
RECORDS = "records.jsonl"
DIVERGED = "diverged"  # in place of a sampling: the run has no samples


def read_rows(path: Path) -> dict[Key, Row]:
    """Rows by what they are about; a later line takes the place of an earlier one. Raises
    `InputError` naming a line that is none.
    """
    if not path.is_file():
        return {}
    found: dict[Key, Row] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            found[row["data"], row["recipe"], row["seed"], row["sampling"]] = row
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}, line {number}: no row of the study ({error!r}); delete the line, its run "
                "is made again"
            ) from error
    return found


def append_rows(path: Path, rows: list[Row]) -> None:
    """All rows of a run, in one write."""
    text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
    with path.open("a") as stream:
        stream.write(text)
