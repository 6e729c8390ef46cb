"""`latentbench check`: a good folder, one with faults, one that is invalid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.__main__ import run
from bench.errors import EXIT_INVALID, EXIT_OK
from bench.records.score_record import read_records
from bench.scoring.scorer import Scorer
from tests.conftest import RealSample, write_pngs


def test_a_good_folder(
    mnist: RealSample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_pngs(mnist.images[:150], tmp_path / "digits")
    out = tmp_path / "out"
    assert run(["check", str(folder), "--out", str(out), "-q"]) == EXIT_OK
    shown = capsys.readouterr().out
    assert shown.startswith("valid: 150 images\nFID ")  # too few images for a verdict
    assert "nothing to fix was found" in shown
    assert (out / "report.html").stat().st_size > 50_000
    (record,) = read_records(out / "records.jsonl")
    assert record.values == Scorer(reference="mnist").score(folder).values


def test_what_to_fix_comes_first(
    mnist: RealSample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_pngs(255 - mnist.images[:150], tmp_path / "inverted")
    assert run(["check", str(folder), "--out", str(tmp_path / "out"), "-q"]) == EXIT_OK
    lines = capsys.readouterr().out.splitlines()
    fixes = [line for line in lines if line.startswith("fix first: ")]
    assert 1 <= len(fixes) <= 3
    assert "invert" in fixes[0]


def test_an_invalid_folder(
    mnist: RealSample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_pngs(np.zeros((3, 28, 28, 1), np.uint8), tmp_path / "few")
    command = ["check", str(folder), "--spec", "mnist-10k", "--out", str(tmp_path / "out"), "-q"]
    assert run(command) == EXIT_INVALID
    shown = capsys.readouterr()
    assert "wrong-count" in shown.err
    assert "written" not in shown.out
    assert not list((tmp_path / "out").iterdir())
