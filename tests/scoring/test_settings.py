"""The settings of a scorer: checked when they are made, and reachable through keywords."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.errors import UnknownNameError, UsageError
from bench.intake import Size
from bench.metrics import METRICS
from bench.scoring.scorer import Scorer, score, score_many
from bench.scoring.settings import ScoreSettings


def test_defaults() -> None:
    settings = bench.ScoreSettings()
    assert (settings.reference, settings.seed, settings.subset) == ("mnist", 2020, 10_000)
    assert [row.name for row in settings.metric_rows] == list(METRICS)
    assert settings.detector_row is settings.submission_spec is settings.size is None


def test_values_are_brought_into_one_form() -> None:
    settings = ScoreSettings(
        metrics=(name for name in ("kid_poly3", "fid")),
        seed=np.int64(3),  # type: ignore[arg-type]
        resize="64x48",
        spec="mnist-10k",
        weights="w.pth",
    )
    assert settings.metrics == ("kid_poly3", "fid")
    assert [row.name for row in settings.metric_rows] == ["fid", "kid_poly3"]  # as in the table
    assert ScoreSettings(metrics="fid, coverage_k5,").metrics == ("fid", "coverage_k5")
    assert ScoreSettings(metrics=["fid,vendi_score", "kid_poly3"]).metrics == (
        "fid",
        "vendi_score",
        "kid_poly3",
    )
    assert type(settings.seed) is int
    assert settings.size == Size(height=48, width=64)
    assert settings.submission_spec is not None
    assert settings.extractor_choice.weights == Path("w.pth")
    assert replace(settings, seed=4).metrics == ("kid_poly3", "fid")
    with pytest.raises(FrozenInstanceError):
        settings.seed = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference": ""}, "an empty reference: give a name, a manifest, or a folder"),
        ({"seed": -1}, r"seed -1: expected 0 to 2\*\*32 - 1"),
        ({"seed": 2**32}, r"seed 4294967296: expected 0 to 2\*\*32 - 1"),
        ({"subset": 1}, "subset 1: expected at least 2 images"),
        ({"batch_size": 0}, "batch size 0: expected at least 1"),
        ({"metrics": []}, "no metric is named"),
        ({"metrics": ","}, "no metric is named"),
        ({"metrics": "fid,fdi"}, "unknown metric 'fdi'. Did you mean 'fid'"),
        ({"metrics": "fdi"}, "unknown metric 'fdi'. Did you mean 'fid'"),
        ({"detector": "pcaa"}, "unknown detector 'pcaa'"),
        ({"detector": "pca", "budget": "cpu"}, "detector 'pca' trains no network"),
        ({"resize": "64by48"}, "expected WIDTHxHEIGHT in pixels"),
        ({"spec": "mnist-10"}, "mnist-10k"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ScoreSettings(**options)  # type: ignore[arg-type]


def test_an_unknown_keyword_lists_the_valid_ones(tmp_path: Path) -> None:
    names = ", ".join(field.name for field in fields(ScoreSettings))
    message = f"unknown option 'metric'. Did you mean 'metrics'\\? Valid: {names}"
    for function in (
        lambda: Scorer(metric="fid"),
        lambda: score(tmp_path, metric="fid"),
        lambda: list(score_many(tmp_path, metric="fid")),
    ):
        with pytest.raises(UsageError, match=message):
            function()


def test_keywords_change_settings() -> None:
    settings = ScoreSettings(metrics="fid", seed=1, use_cache=False)
    scorer = Scorer(settings, seed=2)
    assert scorer.settings == replace(settings, seed=2)
    assert Scorer(metrics="fid", seed=1, use_cache=False).settings == settings


def test_a_detector_that_no_metric_uses_is_looked_up_and_left_out() -> None:
    assert ScoreSettings(metrics="fid", detector="pca").detector_row is None
    with pytest.raises(UnknownNameError):
        ScoreSettings(metrics="fid", detector="no-such")
    row = ScoreSettings(detector="pca").detector_row
    assert row is not None
    assert row.name == "pca"


def test_submissions_left_out_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the reference scores is cached all the same."""
    monkeypatch.setenv("LATENTBENCH_CACHE", str(tmp_path))
    scorer = Scorer(reference="mnist", metrics=["fid"], cache_submissions=False)
    images = np.random.default_rng(0).integers(0, 256, (70, 28, 28), dtype=np.uint8)
    assert not scorer.score_images(images, name="x").from_cache
    assert not scorer.score_images(images, name="x").from_cache
    assert {path.name for path in tmp_path.iterdir()} <= {"held-out", "code"}
