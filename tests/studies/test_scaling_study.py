"""The study of wrong scales: its compositions, its figures, its page, and that it resumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.__main__ import run
from bench.errors import EXIT_OK, EXIT_USAGE
from bench.studies import scaling
from bench.studies.scaling import compositions, figures, read_rows, run_study, saved, write_report
from tests.conftest import RealSample


@pytest.fixture
def samples(mnist: RealSample, tmp_path: Path) -> Path:
    path = tmp_path / "digits.npy"
    np.save(path, mnist.images[:150, ..., 0])
    return path


def test_study(samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ways = {how: scaling.SAVED[how] for how in ("rightly", "inverted")}
    monkeypatch.setattr(scaling, "SAVED", ways)
    out = tmp_path / "study"
    run_study(out, [samples], num_images=60)
    rows = read_rows(out)
    assert len(rows) == 4 * 2
    assert figures(rows) == {
        "num_wrong": 4, "num_right": 4, "named": 1.0, "alarms": 0.0, "equal": 1.0
    }  # fmt: skip
    write_report(out)
    page = (out / "README.md").read_text()
    assert "| inverted | `inverted-polarity` | 1 of 1 | 1 of 1 | 1 of 1 | 1 of 1 |" in page
    assert "Named: 100.0 % of 4 wrong folders. Wrong alarms: 0.0 % of 4 right ones." in page
    monkeypatch.setattr(scaling, "_judged", None)  # a second run judges nothing again
    run_study(out, [samples], num_images=60)
    assert read_rows(out) == rows
    (out / "README.md").unlink()
    assert run(["study", "scaling", "--out", str(out), "--render"]) == EXIT_OK
    assert (out / "README.md").read_text() == page


def test_figures_count_what_went_wrong() -> None:
    tanh = "value-range-tanh"
    rows = [
        {"expected": tanh, "audit": [tanh], "score": [tanh]},
        {"expected": tanh, "audit": [tanh], "score": []},
        {"expected": tanh, "audit": [tanh, "value-range-narrow"], "score": [tanh]},
        {"expected": "", "audit": [], "score": []},
        {"expected": "", "audit": [tanh], "score": [tanh]},
    ]
    found = figures(rows)
    assert (found["named"], found["alarms"], found["equal"]) == (1 / 3, 1 / 2, 3 / 5)


def test_compositions() -> None:
    labels = np.repeat(np.arange(10), 40)
    found = compositions(labels, 80)
    assert {name: len(rows) for name, rows in found.items()} == dict.fromkeys(found, 80)
    shares = {name: np.bincount(labels[rows], minlength=10) for name, rows in found.items()}
    assert shares["balanced"].tolist() == [8] * 10
    assert shares["40 % ones"][1] == 32
    assert shares["two classes missing"][[3, 8]].tolist() == [0, 0]
    assert all(len(np.unique(rows)) == 80 for rows in found.values())


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("rightly", [0, 64, 200, 255]),
        ("unscaled", [0, 0, 145, 255]),  # 2 L - 255
        ("clipped", [0, 0, 145, 255]),
        ("doubled", [127, 159, 227, 255]),  # (L + 255) / 2
        ("wrapped", [1, 129, 145, 255]),  # 2 L - 255 modulo 256
        ("inverted", [255, 191, 55, 0]),
    ],
)
def test_ways_of_saving(how: str, expected: list[int]) -> None:
    levels = np.tile(np.array([0, 64, 200, 255], np.uint8), (500, 1)).reshape(500, 1, 4, 1)
    mean = saved(levels, how).reshape(500, 4).mean(axis=0)
    assert mean == pytest.approx(expected, abs=1.1)


def test_refusals(samples: Path, tmp_path: Path) -> None:
    assert run(["study", "scaling", "--out", str(tmp_path / "x")]) == EXIT_USAGE
    assert run(["study", "protocols", str(samples), "--out", str(tmp_path / "x")]) == EXIT_USAGE
