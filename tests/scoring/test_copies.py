"""Scores of copies: a folder against itself, images saved twice, reals that are all the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.scoring.scorer import Scorer
from tests.conftest import RealSample, write_pngs


def test_a_folder_that_is_its_own_reference(mnist: RealSample, tmp_path: Path) -> None:
    real = write_pngs(mnist.images[:120], tmp_path / "real")
    order = np.random.default_rng(0).permutation(120)  # other names
    same = write_pngs(mnist.images[order], tmp_path / "same")
    metrics = ["fid", "fid_infinity", "kid_poly3", "class_kl"]
    found = Scorer(reference=real, extractor="digits", metrics=metrics, use_cache=False).score(same)
    finding = next(one for one in found.findings if one.code == "same-images")
    assert (finding.severity, finding.count) == ("warning", 120)
    assert "exactly the train images of reference" in finding.message
    for entry in found.values:
        assert entry.interval is not None
        assert entry.interval.low == 0 <= entry.interval.estimate < entry.interval.high, entry
    assert found.values[2].spread is None  # every subset holds all images
    other = Scorer(reference=real, extractor="digits", metrics="fid", use_cache=False).score(
        write_pngs(mnist.images[1:121], tmp_path / "other")
    )
    assert "same-images" not in [one.code for one in other.findings]


def test_copied_reals_give_no_density(mnist: RealSample, tmp_path: Path) -> None:
    copies = write_pngs(np.repeat(mnist.images[:1], 20, axis=0), tmp_path / "copies")
    metrics = ["precision_k3", "recall_k3", "density_k5", "coverage_k5"]
    record = Scorer(reference=copies, extractor="digits", metrics=metrics).score(copies)
    assert [entry.value for entry in record.values] == [1, 1, None, None]
    for entry in record.values[2:]:
        assert entry.reason is not None
        assert "20 of 20 real images have 5 or more copies" in entry.reason


def test_images_saved_twice(mnist: RealSample, tmp_path: Path) -> None:
    """The interval is as wide as for the images saved once, and the record says why."""
    scorer = Scorer(reference="mnist", metrics=["precision_k3", "class_kl"], use_cache=False)
    once = scorer.score(write_pngs(mnist.images[:150], tmp_path / "once"))
    twice = scorer.score(
        write_pngs(np.concatenate([mnist.images[:150]] * 2), tmp_path / "twice"), limit=None
    )
    assert once.independent_images is None
    assert twice.independent_images == pytest.approx(150)
    for one, other in zip(once.values, twice.values, strict=True):
        assert one.interval is not None
        assert other.interval is not None
        assert other.interval.standard_error == pytest.approx(one.interval.standard_error, rel=0.05)


def test_a_perfect_distance_is_never_negative(mnist: RealSample, tmp_path: Path) -> None:
    folder = write_pngs(mnist.images[:100], tmp_path / "few")
    record = Scorer(reference="mnist", metrics="fid_infinity", use_cache=False).score(folder)
    expected = record.values[0].expected
    assert expected is not None
    assert expected >= 0
