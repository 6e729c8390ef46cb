"""Where a report's records come from: record files and folders of them, exhibits beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, NothingFoundError, UsageError
from bench.records.pictures_file import read_exhibits
from bench.records.score_record import ScoreRecord, read_records, record_file_name

Exhibits = dict[str, NDArray[np.generic]]


class Scored(NamedTuple):
    """A record and the exhibits that lay beside it; none when there was no file of them."""

    record: ScoreRecord
    exhibits: Exhibits


class Found(NamedTuple):
    """What paths held: records without repeats, and files that are no records."""

    scored: list[Scored]
    passed_over: list[Path]


def find_scored(paths: Iterable[str | Path]) -> Found:
    """Records of .json and .jsonl files, and of those in folders (not below them).

    A record that is met again, in its own file and in records.jsonl, counts once, the newest when
    it was scored again. Files of a folder that hold other JSON are listed, not read. Raises
    `InputError` for a given file that holds no records, `NothingFoundError` for nothing at all.
    """
    found: dict[str, Scored] = {}
    passed_over = []
    for path in map(Path, paths):
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
        for file in _files(path) if path.is_dir() else [path]:
            if path.is_dir() and not _holds_records(file):
                passed_over.append(file)
                continue
            for record in read_records(file):
                name = record_file_name(record)
                before = found.get(name)
                if before is None or before.record.created_at <= record.created_at:
                    found[name] = Scored(record, exhibits_beside(record, file))
    if not found:
        places = ", ".join(str(path) for path in paths)
        raise NothingFoundError(f"no score records in {places or 'nothing'}")
    return Found(list(found.values()), passed_over)


def exhibits_beside(record: ScoreRecord, file: Path) -> Exhibits:
    """The exhibits of a record that was read from `file`; none when there is no file of them."""
    path = file.with_name(record_file_name(record)).with_suffix(".npz")
    if not path.is_file() and file.suffix == ".json":
        path = file.with_suffix(".npz")  # renamed together
    return read_exhibits(path) if path.is_file() else {}


def without_exhibits(records: Sequence[ScoreRecord]) -> list[Scored]:
    """Records from memory. Raises `InputError` for what is none."""
    for record in records:
        if not isinstance(record, ScoreRecord):
            raise InputError(f"not a score record: {record}")
    if not records:
        raise NothingFoundError("no records to report on")
    return [Scored(record, {}) for record in records]


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in (".json", ".jsonl"))


def _holds_records(file: Path) -> bool:
    """Whether the first line (of JSONL) or the file is an object with the fields of a record."""
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".jsonl":
            text = next((line for line in text.splitlines() if line.strip()), "")
        parsed = json.loads(text)
    except (OSError, ValueError):
        return False
    return isinstance(parsed, dict) and {"submission", "values", "extractor"} <= set(parsed)
