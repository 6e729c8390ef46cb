"""The records file of benchmarks: rows of several runs together, one JSON line each.

Runs that finish at the same time update it one after the other, under a lock beside the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.anomaly.benchmark.row_fields import fault_of
from bench.anomaly.benchmark.rows import Row
from bench.anomaly.choices import variant
from bench.errors import InputError, UsageError, reason_of
from bench.execution.ledger.claims import Claim, claim_within
from bench.runtime.whole_files import write_atomically
from bench.statistics.intervals import holm

RECORDS = "records.jsonl"
LOCK = ".records.lock"
WAIT_S = 120.0  # another run needs seconds to add rows and draw a page
MOMENTARY = "code_state"  # written by older versions; see `provenance.code_state`
IDENTITY = (  # identify a row: a later row replaces an earlier one
    "kind",
    "data",
    "detector",
    "budget",
    "extractor",
    "normal_class",
    "contaminant",
    "share",
    "pairs",
    "seed",
    "command",
)
REMEDY = (
    "remove it, or name another --out, and run the benchmark again: what is in its ledger is not "
    "computed anew"
)
RESULT = ("auc", "low", "high", "seeds")  # of a mean, on which comparisons depend


def keep_rows(path: Path, rows: Iterable[Row]) -> list[Row]:
    """Add rows to a records file and return all its rows.

    New rows replace those of the same detectors with the same budget and extractor. Comparisons
    with a mean that has changed are dropped unless they were made again. The p-values of all
    remaining comparisons are adjusted for their number. Raises `InputError` for a file of another
    kind, and what `claimed` raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with claimed(path.parent):
        ordered = _together(read_rows(path), list(rows))
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in ordered)
        write_atomically(path, text.encode())
    return ordered


def claimed(out: Path) -> Claim:
    """Hold the right to change records and page of a folder, as a context manager. Raises
    `UsageError` when another run holds it for `WAIT_S`.
    """
    claim = claim_within(out / LOCK, WAIT_S)
    if claim is None:
        raise UsageError(
            f"{out / LOCK}: another run has been writing there for {WAIT_S:.0f} s; run the same "
            "command again when it has ended: what is in the ledger is not computed anew"
        )
    return claim


def _together(old: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    again = {of_variant(row) for row in new if row["kind"] == "mean"}
    changed = _changed(old, new)
    kept = {_identity(row): row for row in old if not _is_old(row, again, changed)}
    kept |= {_identity(row): row for row in new}
    return _adjusted([kept[identity] for identity in sorted(kept, key=json.dumps)])


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a records file, none when the file does not exist. Raises `InputError`
    with the number of the line that is not a row.
    """
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a records file: {reason_of(error)}; {REMEDY}") from error
    return [_row(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _row(path: Path, number: int, line: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        fault: str | None = f"JSON expected: {error}"
    else:
        fault = fault_of(row)
    if fault is None:
        return {key: value for key, value in row.items() if key != MOMENTARY}
    raise InputError(f"{path}, line {number}: no row of a benchmark ({fault}); {REMEDY}")


def of_variant(row: Row) -> tuple[str, str]:
    """Return data set and variant of a row about one detector."""
    return row["data"], variant(row["detector"], row["budget"], row["extractor"])


def _changed(old: Sequence[Row], new: Sequence[Row]) -> set[tuple[str, str]]:
    """Return the variants whose mean has changed."""
    before = {of_variant(row): row for row in old if row["kind"] == "mean"}
    return {
        of_variant(row)
        for row in new
        if row["kind"] == "mean"
        and [row[key] for key in RESULT]
        != [before.get(of_variant(row), {}).get(key) for key in RESULT]
    }


def _is_old(row: Row, again: set[tuple[str, str]], changed: set[tuple[str, str]]) -> bool:
    """Return whether a row describes a single fit that was made again, or a comparison that no
    longer holds.
    """
    if row["kind"] == "class":
        return of_variant(row) in again
    if row["kind"] == "pair":
        return any((row["data"], row[side]) in changed for side in ("first", "second"))
    return False


def _identity(row: Row) -> tuple[Any, ...]:
    compared = sorted(row[side] for side in ("first", "second") if side in row)
    return *(row.get(key) for key in IDENTITY), *compared


def _adjusted(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with p-values of comparisons adjusted for all comparisons of one data set."""
    found = list(rows)
    for data in {row["data"] for row in rows if row["kind"] == "pair"}:
        places = [i for i, r in enumerate(rows) if (r["kind"], r["data"]) == ("pair", data)]
        adjusted = holm([rows[place]["p_value"] for place in places])
        for place, p_value in zip(places, adjusted, strict=True):
            found[place] = {**rows[place], "p_adjusted": p_value}
    return found
