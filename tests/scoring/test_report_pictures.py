"""What a page shows of a submission comes from its own features and images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.__main__ import run
from bench.errors import EXIT_OK
from bench.records.pictures_file import EXHIBITS, read_exhibits
from bench.records.score_record import ScoreRecord, read_records
from bench.scoring.report_pictures import COMPONENTS, NUM_EXTREME, feature_exhibits
from bench.scoring.scorer import Scorer
from tests.conftest import RealSample

METRICS = ["fid", "precision_k3", "recall_k3", "prd_f8", "anomaly_auc"]


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(reference="mnist", metrics=METRICS, use_cache=False)


@pytest.fixture(scope="module")
def scored(scorer: Scorer, mnist: RealSample) -> ScoreRecord:
    """The first image is noise, the second equals the third."""
    images = mnist.images[:300].copy()
    images[0] = np.random.default_rng(0).integers(0, 256, images[0].shape, np.uint8)
    images[1] = images[2]
    return scorer.score_images(images, name="x")


@pytest.fixture(scope="module")
def exhibits(scorer: Scorer, scored: ScoreRecord) -> dict[str, np.ndarray]:
    return scorer.exhibits(scored)


def test_names_are_those_of_the_contract(exhibits: dict[str, np.ndarray]) -> None:
    assert set(exhibits) <= set(EXHIBITS)
    assert {"pca_fake", "roc_true_positives", "prd_recall", "worst_images"} <= set(exhibits)


def test_the_area_below_the_curve_is_the_metric(
    exhibits: dict[str, np.ndarray], scored: ScoreRecord
) -> None:
    false, true = exhibits["roc_false_positives"], exhibits["roc_true_positives"]
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert (np.diff(false) >= 0).all()
    assert (np.diff(true) >= 0).all()
    # a tenth of the thresholds are drawn: 0.005 is the most that can be cut off
    assert np.trapezoid(true, false) == pytest.approx(scored.value("anomaly_auc"), abs=0.005)


def test_the_worst_image_is_the_noise(exhibits: dict[str, np.ndarray], mnist: RealSample) -> None:
    noise = np.random.default_rng(0).integers(0, 256, mnist.images[0].shape, np.uint8)
    np.testing.assert_array_equal(exhibits["worst_images"][0], noise)
    assert (np.diff(exhibits["worst_realism"]) >= 0).all()
    assert (np.diff(exhibits["best_realism"]) <= 0).all()
    assert exhibits["best_realism"][-1] >= exhibits["worst_realism"][-1]
    assert len(exhibits["best_images"]) == len(exhibits["best_realism"]) == NUM_EXTREME


def test_components_are_those_of_the_real_images(exhibits: dict[str, np.ndarray]) -> None:
    real = exhibits["pca_real"].astype(np.float64)
    assert real.shape == (500, COMPONENTS)
    spread = real.var(axis=0)
    assert (np.diff(spread) <= 1e-6).all()
    np.testing.assert_allclose(real.mean(axis=0), 0, atol=1e-4)
    covariance = np.cov(real.T)
    off = covariance - np.diag(np.diag(covariance))
    assert abs(off).max() < 1e-3 * spread[0]
    assert exhibits["pca_fake"].shape == (300, COMPONENTS)


def test_the_same_twice_and_only_what_was_measured(
    scorer: Scorer, scored: ScoreRecord, exhibits: dict[str, np.ndarray]
) -> None:
    again = scorer.exhibits(scored)
    for name, array in exhibits.items():
        np.testing.assert_array_equal(array, again[name])
    made_of = scorer._last[scored.signature]
    few = feature_exhibits(made_of.inputs, made_of.sample, ["fid"])
    assert set(few) == {"pca_real", "pca_fake"}


def test_neighbours_with_training_images_at_hand(scorer: Scorer, scored: ScoreRecord) -> None:
    made_of = scorer._last[scored.signature]
    asked = []

    def training(positions: np.ndarray) -> np.ndarray:
        asked.append(positions)
        return np.full((len(positions), 28, 28, 1), 7, np.uint8)

    found = feature_exhibits(
        made_of.inputs,
        made_of.sample,
        METRICS,
        facts=scorer._contents.facts(scored.submission.sequence_digest),
        training_images=training,
    )
    (positions,) = asked
    nearest = made_of.inputs.neighbours.fake_to_real
    rows = [np.flatnonzero(nearest.distances[:, 0] == d) for d in found["neighbour_distances"]]
    assert all(p in nearest.indices[r, 0] for p, r in zip(positions, rows, strict=True))
    assert (found["neighbour_training_images"] == 7).all()


def test_the_command_keeps_them_beside_the_record(
    digits_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["score", str(digits_folder), "--metrics", "fid,precision_k3"]
    assert run([*arguments, "--out", "a"]) == EXIT_OK
    (path,) = Path("a").glob("*.npz")
    assert f"written: {path}" in capsys.readouterr().out
    assert path.with_suffix(".json").is_file()
    first = read_exhibits(path)
    assert "worst_images" in first
    assert run([*arguments, "--out", "b"]) == EXIT_OK  # from the cache
    assert read_records(next(Path("b").glob("*.jsonl")))[0].from_cache
    (path,) = Path("b").glob("*.npz")
    again = read_exhibits(path)
    assert set(first) == set(again)
    assert run([*arguments, "--out", "c", "--no-pictures"]) == EXIT_OK
    assert not list(Path("c").glob("*.npz"))


def test_from_features_in_the_cache(mnist: RealSample) -> None:
    """Scored without exhibits before: they are made of the kept features, and are the same."""
    images = mnist.images[:200]
    first = Scorer(reference="mnist", metrics=METRICS)
    record = first.score_images(images, name="x")
    again = Scorer(reference="mnist", metrics=METRICS)
    same = again.score_images(images, name="x")
    assert same.from_cache
    late, early = again.exhibits(same), first.exhibits(record)
    assert set(late) == set(early)
    for name, array in early.items():
        np.testing.assert_array_equal(array, late[name])
    assert Scorer(reference="mnist", metrics=METRICS, use_cache=False).exhibits(record) == {}
