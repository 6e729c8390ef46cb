"""The records file of benchmarks: rows of several runs together, one JSON line each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.anomaly.benchmark_rows import Row
from bench.anomaly.naming import variant
from bench.errors import InputError
from bench.stats import write_atomically
from bench.uncertainty import holm

RECORDS = "records.jsonl"
IDENTITY = (  # of a row: a later one takes the place of an earlier one
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
RESULT = ("auc", "low", "high", "seeds")  # of a mean: what comparisons with it rest on


def keep_rows(path: Path, rows: Iterable[Row]) -> list[Row]:
    """Add rows to a records file and give all of them.

    They take the place of those of the same detectors with the same budget and extractor.
    Comparisons of one whose mean has changed since are dropped where they are not made again; the
    p-values of all that stay are adjusted for their number. Raises `InputError` for a file that is
    none.
    """
    new = list(rows)
    old = read_rows(path)
    again = {of_variant(row) for row in new if row["kind"] == "mean"}
    changed = _changed(old, new)
    kept = {_identity(row): row for row in old if not _is_old(row, again, changed)}
    kept |= {_identity(row): row for row in new}
    ordered = _adjusted([kept[identity] for identity in sorted(kept, key=json.dumps)])
    text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in ordered)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())
    return ordered


def read_rows(path: Path) -> list[Row]:
    """The rows of a records file, none where there is no file. Raises `InputError`."""
    if not path.is_file():
        return []
    try:
        rows = [json.loads(line) for line in path.read_text().splitlines() if line]
        kinds = {(row["kind"], "seen" in row) for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a records file, JSON lines expected: {error}") from error
    if ("mean", False) in kinds:
        raise InputError(
            f"{path}: rows of an older version, which do not say what their detectors have seen; "
            "remove the file (or name another --out) and run the benchmark again: what is in its "
            "ledger is not computed anew"
        )
    return rows


def of_variant(row: Row) -> tuple[str, str]:
    """Data set and variant of a row about one detector."""
    return row["data"], variant(row["detector"], row["budget"], row["extractor"])


def _changed(old: Sequence[Row], new: Sequence[Row]) -> set[tuple[str, str]]:
    """Variants whose mean is another one now."""
    before = {of_variant(row): row for row in old if row["kind"] == "mean"}
    return {
        of_variant(row)
        for row in new
        if row["kind"] == "mean"
        and [row[key] for key in RESULT]
        != [before.get(of_variant(row), {}).get(key) for key in RESULT]
    }


def _is_old(row: Row, again: set[tuple[str, str]], changed: set[tuple[str, str]]) -> bool:
    """Whether a row is about a single fit that has been made again, or a comparison that no longer
    holds.
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
    """The same rows, p-values of comparisons adjusted for all of one data set."""
    found = list(rows)
    for data in {row["data"] for row in rows if row["kind"] == "pair"}:
        places = [i for i, r in enumerate(rows) if (r["kind"], r["data"]) == ("pair", data)]
        adjusted = holm([rows[place]["p_value"] for place in places])
        for place, p_value in zip(places, adjusted, strict=True):
            found[place] = {**rows[place], "p_adjusted": p_value}
    return found
