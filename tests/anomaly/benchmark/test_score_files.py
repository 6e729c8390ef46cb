"""The scores that a job leaves in its folder: written whole or not at all, damage is told."""

from __future__ import annotations

import io
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.anomaly.benchmark.jobs import SCORES, Cell, do_cell
from bench.anomaly.benchmark.plan import Benchmark, run_benchmark
from bench.anomaly.benchmark.score_files import read_scores
from bench.data.datasets import Dataset
from bench.errors import InputError
from bench.execution.ledger.ledger import Ledger
from bench.execution.ledger.work import WorkContext
from tests.anomaly.conftest import use_digits
from tests.conftest import RealSample

TOLD = r"scores\.npz: the scores of a finished job cannot be read \(.*{}.*\); delete the job's"


@pytest.fixture(autouse=True)
def digits(mnist: RealSample, monkeypatch: pytest.MonkeyPatch) -> dict[str, Dataset]:
    """Classes 0 and 1 of the committed digits: 200 images to train on, 100 to judge."""
    return use_digits(monkeypatch, mnist, below=2, num_train=200, num_test=100)


def archive(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def plain(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


ROWS, VALUES = np.arange(100), np.linspace(0, 1, 100)
WITH_NAN = np.where(ROWS == 7, np.nan, VALUES)
DAMAGED = {
    "empty": (b"", "npz"),
    "cut": (b"PK", "npz"),
    "no archive behind its magic": (b"PK\x03\x04bad", "zip"),
    "one array": (plain(VALUES), "single npy array"),
    "objects": (archive(rows=ROWS, scores=VALUES.astype(object)), "Python objects"),
    "no rows": (archive(scores=VALUES), "rows"),
    "short": (archive(rows=ROWS, scores=VALUES[:99]), r"expected 100 rows and scores, got .*99"),
    "both short": (archive(rows=ROWS[:1], scores=VALUES[:1]), "expected 100 rows and scores"),
    "two columns": (archive(rows=ROWS, scores=VALUES[:, None]), r"got \(100,\) and \(100, 1\)"),
    "float rows": (archive(rows=VALUES, scores=VALUES), "int rows and float scores, got float64"),
    "int scores": (archive(rows=ROWS, scores=ROWS), "int rows and float scores"),
    "a row twice": (archive(rows=ROWS // 2, scores=VALUES), "more than once"),
    "a row beyond": (archive(rows=ROWS + 1, scores=VALUES), "rows beyond the 100 of the test"),
    "a row before": (archive(rows=ROWS - 1, scores=VALUES), "rows beyond the 100 of the test"),
    "not finite": (archive(rows=ROWS, scores=WITH_NAN), "not finite"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_scores_are_told(tmp_path: Path, damage: str) -> None:
    data, message = DAMAGED[damage]
    (tmp_path / SCORES).write_bytes(data)
    with pytest.raises(InputError, match=TOLD.format(message)):
        read_scores(tmp_path, num_test=100, num_scores=100)


def test_whole_scores_are_read(tmp_path: Path) -> None:
    (tmp_path / SCORES).write_bytes(archive(rows=ROWS[::-1], scores=VALUES))
    found = read_scores(tmp_path, num_test=100, num_scores=100)
    assert found.rows.tolist() == ROWS[::-1].tolist()
    assert found.scores.tolist() == VALUES.tolist()
    with pytest.raises(InputError, match=TOLD.format("No such file")):
        read_scores(tmp_path / "other", num_test=100, num_scores=100)


def test_a_run_resumed_on_damaged_scores_is_told(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    plan = Benchmark(detectors=("pca",), num_seeds=1)
    run_benchmark(plan, ledger, "inline")
    folder = ledger.work_folder(ledger.keys()[0])
    whole = (folder / SCORES).read_bytes()
    scores = archive(rows=np.arange(99), scores=np.linspace(0, 1, 99))  # one too few
    for damaged in (b"", scores):
        (folder / SCORES).write_bytes(damaged)
        with pytest.raises(InputError, match=TOLD.format("")):
            run_benchmark(plan, ledger, "inline")
    (folder / SCORES).write_bytes(whole)
    assert not run_benchmark(plan, ledger, "inline").failed


def test_scores_are_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = Cell(
        data="mnist", detector="pca", normal_class=0, seed=0, extractor="", budget="published"
    )
    context = WorkContext(
        key="key", label="label", folder=tmp_path, attempt=1, memory_step=0, deadline=None
    )
    payload = {**asdict(cell), "data_root": None, "device": "cpu"}

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            do_cell(payload, context)
    assert not list(tmp_path.iterdir())
    numbers = do_cell(payload, context)
    num_scores = numbers["num_normal"] + numbers["num_anomalous"]
    assert len(read_scores(tmp_path, num_test=100, num_scores=num_scores).scores) == 100
