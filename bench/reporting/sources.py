"""Find the records of a report in files and folders, and the exhibits beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.anomaly.folder.output_folder import RECORD
from bench.errors import InputError, NothingFoundError, UsageError
from bench.records.pictures_file import read_exhibits
from bench.records.score_record import (
    ScoreRecord,
    holds_records,
    json_files,
    read_record_lines,
    record_file_name,
)

Exhibits = dict[str, NDArray[np.generic]]


class Scored(NamedTuple):
    """A record and its exhibits, which are empty when no exhibits file lies beside it."""

    record: ScoreRecord
    exhibits: Exhibits


class Found(NamedTuple):
    """The records that paths hold, each once, and a message for what was skipped: JSON files that
    hold no records, and lines that were cut short.
    """

    scored: list[Scored]
    skipped: list[str]


def find_scored(paths: Iterable[str | Path]) -> Found:
    """Return the records of .json and .jsonl files and of folders, without their subfolders.

    A record that occurs in its own file and in records.jsonl counts once. Of several scorings under
    one signature, the newest counts. Files in a folder that hold other JSON are skipped, and so is
    a line that was cut short.

    Raises `UsageError` for a missing path, `InputError` for a given file that holds no records, and
    `NothingFoundError` when no path holds any.
    """
    found: dict[str, Scored] = {}
    skipped: list[str] = []
    for path in map(Path, paths):
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
        for file in json_files(path) if path.is_dir() else [path]:
            if path.is_dir() and not holds_records(file):
                skipped.append(f"{file}: holds no score records, skipped")
                continue
            records, torn = read_record_lines(file)
            skipped += torn
            for record in records:
                name = record_file_name(record)
                before = found.get(name)
                if before is None or before.record.created_at <= record.created_at:
                    found[name] = Scored(record, exhibits_beside(record, file))
    if not found:
        places = ", ".join(str(path) for path in paths)
        raise NothingFoundError(f"no score records in {places or 'nothing'}")
    return Found(list(found.values()), skipped)


def exhibits_beside(record: ScoreRecord, file: Path) -> Exhibits:
    """Return the exhibits beside the record file `file`; empty when there are none."""
    path = file.with_name(record_file_name(record)).with_suffix(".npz")
    if not path.is_file() and file.suffix == ".json":
        path = file.with_suffix(".npz")  # both files were renamed
    return read_exhibits(path) if path.is_file() else {}


def without_exhibits(records: Sequence[ScoreRecord]) -> list[Scored]:
    """Return records without exhibits. Raises `InputError` for an object that is not a record."""
    for record in records:
        if not isinstance(record, ScoreRecord):
            raise InputError(f"not a score record: {record}")
    if not records:
        raise NothingFoundError("no records to report on")
    return [Scored(record, {}) for record in records]


def anomaly_record(path: Path) -> Path | None:
    """Return the record of a run of detectors, if `path` is one or a folder with one; else None."""
    file = path / RECORD if path.is_dir() else path
    try:
        fields = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    found = isinstance(fields, dict) and {"detectors", "train", "test"} <= set(fields)
    return file if found else None
