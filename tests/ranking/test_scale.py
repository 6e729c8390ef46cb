"""The program that measures `rank` on a large class: its page, its submissions, its memory."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from bench.intake import read_images
from tests.ranking.scale import page, tree_mb, write_class


def test_separate_runs_are_scaled_to_the_class() -> None:
    """10 of 50 teams took 40 s and 10 s: 250 s for all, 2.5 times the 100 s of `rank`."""
    row = {
        "num_teams": 50,
        "num_images": 10_000,
        "rank_s": 100.0,
        "rank_cpu_s": 150.0,
        "peak_mb": [1000, 1010, 1005, 1010, 1008],
        "num_separate": 10,
        "score_s": 40.0,
        "score_cpu_s": 45.0,
        "report_s": 10.0,
        "report_cpu_s": 15.0,
        "machine": "x86_64",
        "processors": 2,
        "torch": "2",
        "load": "did nothing else",
    }
    text = page(row)
    assert "of 10 teams and scaled | 250 | 2.50 | 300 | 2.00 |" in text
    assert "of 10 teams and scaled | 200 | 2.00 | 225 | 1.50 |" in text
    assert "| 1,000 | 1,010 | 1,005 | 1,010 | 1,008 |" in text


def test_the_submissions_are_valid_and_differ(tmp_path: Path) -> None:
    write_class(tmp_path, 2, 20)
    sets = [read_images(file).images for file in sorted(tmp_path.iterdir())]
    assert all(one is not None and one.images.shape == (20, 28, 28, 1) for one in sets)
    assert sets[0] is not None
    assert sets[1] is not None
    assert sets[0].pixel_digest != sets[1].pixel_digest


def test_memory_counts_this_process() -> None:
    held = np.ones(64 << 17)  # 64 MB
    assert tree_mb(os.getpid()) > held.nbytes / (1 << 20)
