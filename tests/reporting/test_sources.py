"""Records are found in files and folders, once each, with the exhibits beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.errors import InputError, NothingFoundError, UsageError
from bench.records.pictures_file import write_exhibits
from bench.records.score_record import ScoreRecord, append_record, record_file_name, write_record
from bench.reporting.sources import find_scored
from tests.reporting.complete import complete_record


def keep(record: ScoreRecord, folder: Path) -> Path:
    path = folder / record_file_name(record)
    write_record(record, path)
    append_record(record, folder / "records.jsonl")
    write_exhibits({"class_shares": np.array([0.4, 0.6])}, path.with_suffix(".npz"))
    return path


def test_a_folder_counts_each_record_once(tmp_path: Path) -> None:
    one, two = complete_record("a", 1), complete_record("b", 2)
    keep(one, tmp_path)
    keep(two, tmp_path)
    (tmp_path / "other.json").write_text('{"some": "thing"}')
    (tmp_path / "torn.json").write_text("{")
    found = find_scored([tmp_path])
    assert [each.record for each in found.scored] == [one, two]
    assert all("class_shares" in each.exhibits for each in found.scored)
    other, torn = found.skipped
    assert "other.json: holds no score records" in other
    assert "torn.json: holds no score records" in torn


def test_the_newest_of_the_same_scoring_counts(tmp_path: Path) -> None:
    old = complete_record("a", 1)
    new = old.model_copy(update={"created_at": "2027-01-01T00:00:00+00:00"})
    for one in (new, old):
        append_record(one, tmp_path / "records.jsonl")
    assert [each.record for each in find_scored([tmp_path]).scored] == [new]


def test_a_file_and_one_that_was_renamed(tmp_path: Path) -> None:
    path = keep(complete_record("a", 1), tmp_path)
    assert find_scored([path]).scored[0].exhibits
    path.rename(tmp_path / "new.json")
    path.with_suffix(".npz").rename(tmp_path / "new.npz")
    assert find_scored([tmp_path / "new.json"]).scored[0].exhibits
    (tmp_path / "new.npz").unlink()
    assert not find_scored([tmp_path / "new.json"]).scored[0].exhibits


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        find_scored([tmp_path / "missing"])
    with pytest.raises(NothingFoundError, match="no score records"):
        find_scored([tmp_path])
    (tmp_path / "x.json").write_text('{"some": "thing"}')
    with pytest.raises(InputError, match="not a score record"):
        find_scored([tmp_path / "x.json"])
    path = keep(complete_record("a", 1), tmp_path)
    path.with_suffix(".npz").write_bytes(b"junk")
    with pytest.raises(InputError, match="npz"):
        find_scored([path])
