"""The study of protocols: its rows and its page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.__main__ import run
from bench.errors import EXIT_OK
from bench.extractors.base import ExtractorChoice
from bench.studies.image_sets import ImageSets
from bench.studies.protocols import NOISE_SD, noisy, run_study


def test_protocol_study(weights: Path, sets: ImageSets, tmp_path: Path) -> None:
    choice = ExtractorChoice(weights=weights, unverified_weights=True)
    run_study(tmp_path, sets, choice, weights="untrained", command="a test")
    rows = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert [row["protocol"] for row in rows] == [
        "torch-fidelity",
        "clean-fid",
        "pytorch-fid",
        "torchmetrics",
    ]
    assert rows[0]["input_difference"] == 0
    assert all(row["input_difference"] > 0.1 for row in rows[1:])
    page = (tmp_path / "README.md").read_text()
    ratio = rows[1]["fid_noisy"] / rows[0]["fid_noisy"]
    assert f"{rows[1]['fid_noisy']:.4g} ({ratio:.3f})" in page
    (tmp_path / "README.md").unlink()
    assert run(["study", "protocols", "--out", str(tmp_path), "--render"]) == EXIT_OK
    assert (tmp_path / "README.md").read_text() == page


def test_noise_is_of_the_stated_size() -> None:
    grey = np.full((20, 28, 28, 1), 128, np.uint8)
    noise = noisy(grey, seed=0).astype(float) - 128
    assert noise.std() == pytest.approx(NOISE_SD, rel=0.02)
