"""Cut-offs from held-out normal images, images without labels, and results that mean nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import bench.anomaly
from bench.__main__ import run
from bench.anomaly import evaluate_folder, judge_folder
from bench.anomaly.threshold import cutoff, split_normal
from bench.errors import EXIT_OK, EXIT_USAGE, UsageError
from tests.anomaly.conftest import write_threes
from tests.conftest import RealSample, write_pngs


@pytest.fixture(scope="module")
def place(mnist: RealSample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 threes to learn from, of which 24 are held out; 30 others and 30 other digits."""
    place: Path = write_threes(
        tmp_path_factory.mktemp("place"), mnist, num_train=120, num_normal=30, num_anomalous=30
    )
    threes, others = (mnist.images[mnist.labels == 3], mnist.images[mnist.labels != 3])
    write_pngs(np.concatenate([threes[120:150], others[:30]]), place / "mixed")
    write_pngs(np.repeat(threes[:1], 20, axis=0), place / "copies")
    return place


def test_a_cutoff_keeps_its_rate() -> None:
    """The chance of a further normal score above the cut-off is 1 - k / (n + 1), k the place of the
    cut-off: for n = 39 and 5 % it is 1 - 38 / 40, for n = 50 it is 1 - 49 / 51.
    """
    generator = np.random.default_rng(0)
    for num, expected in ((39, 0.05), (50, 2 / 51)):
        above = []
        for _ in range(4_000):
            scores = generator.exponential(size=num)
            above.append(np.exp(-cutoff(scores, 0.05)))
        # the share above the k-th of n has the variance of a beta distribution
        error = np.sqrt(expected * (1 - expected) / (num + 2) / 4_000)
        assert abs(np.mean(above) - expected) < 4 * error
    with pytest.raises(UsageError, match="18 held-out images are too few for a rate of 0.05"):
        cutoff(np.arange(18.0), 0.05)


def test_a_fifth_is_held_out() -> None:
    split = split_normal(100, 0.05, seed=3)
    assert len(split.held_out) == 20
    assert sorted([*split.fitted, *split.held_out]) == list(range(100))
    assert (split_normal(100, 0.05, seed=4).held_out != split.held_out).any()
    with pytest.raises(UsageError, match=r"needs 99 or more .* a fifth of 100 is 20; give 495 or"):
        split_normal(100, 0.01, seed=0)
    for rate in (0.0, 1.0, -0.1):
        with pytest.raises(UsageError, match="expected more than 0, less than 1"):
            split_normal(100, rate, seed=0)


def test_every_image_gets_a_verdict(place: Path, tmp_path: Path) -> None:
    found = judge_folder(
        place / "train", place / "mixed", detectors="pca,knn-pixels", threshold_fpr=0.1,
        out=tmp_path / "out",
    )  # fmt: skip
    for entry in found.record.detectors:
        text = (tmp_path / "out" / entry.name / "verdicts.csv").read_text()
        rows = list(csv.DictReader(text.splitlines()))
        assert [row["name"] for row in rows] == list(found.names)
        scores = np.array([float(row["score"]) for row in rows])
        np.testing.assert_array_equal(scores, found.scores[entry.name])
        verdicts = [row["verdict"] == "anomalous" for row in rows]
        assert verdicts == (scores > entry.threshold.value).tolist()
        assert sum(verdicts) == entry.num_anomalous == len(found.anomalous(entry.name))
        assert (entry.threshold.num_held_out, entry.threshold.fpr) == (24, 0.1)
        assert sum(verdicts[30:]) > 2 * sum(verdicts[:30]), "other digits are found"
        best = min(rows, key=lambda row: int(row["rank"]))
        assert float(best["score"]) == scores.max()
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["test"]["num_images"] == 60


def test_labels_measure_the_cutoff(place: Path) -> None:
    found = evaluate_folder(place / "train", place / "test", detectors="pca", threshold_fpr=0.1)
    entry, judged = found.record.detectors[0], found.judged[0]
    assert entry.threshold is not None
    assert judged.held_out is not None
    # 24 held out: k = ceil(25 * .9) = 23
    assert entry.threshold.value == np.sort(judged.held_out)[22]
    above = judged.scores > entry.threshold.value
    assert entry.threshold.found_fpr == above[:30].mean()
    assert entry.threshold.found_tpr == above[30:].mean()
    assert entry.threshold.found_tpr > 0.5 > entry.threshold.found_fpr
    assert len(found.task.normal) == 96
    plain = evaluate_folder(place / "train", place / "test", detectors="pca")
    assert plain.record.detectors[0].threshold is None
    assert plain.task.held_out is None


def test_swapped_labels_are_told(place: Path, tmp_path: Path) -> None:
    lines = [f"{number:05d}.png,{int(number < 30)}" for number in range(60)]
    (tmp_path / "swapped.csv").write_text("\n".join(lines))
    found = evaluate_folder(
        place / "train", place / "mixed", labels=tmp_path / "swapped.csv", detectors="pca"
    )
    assert found.record.detectors[0].auc < 0.3
    (told,) = [f for f in found.record.findings if f.code == "auc-below-half"]
    assert told.severity == "warning"
    assert "pca: the AUC (0." in told.message
    assert "labels may be swapped" in told.message
    right = evaluate_folder(place / "train", place / "test", detectors="pca")
    assert right.record.findings == ()
    assert right.record.detectors[0].prevalence == 0.5


def test_copies_and_equal_scores_are_told(place: Path, tmp_path: Path) -> None:
    found = evaluate_folder(place / "copies", place / "test", detectors="knn-pixels")
    (told,) = [f for f in found.record.findings if f.code == "identical-training-images"]
    assert "of 20 training images all are identical" in told.message
    black = np.zeros((6, 28, 28, 1), np.uint8)
    write_pngs(black, tmp_path / "test" / "normal")
    write_pngs(black, tmp_path / "test" / "anomalous")
    found = evaluate_folder(place / "train", tmp_path / "test", detectors="knn-pixels")
    (told,) = [f for f in found.record.findings if f.code == "equal-scores"]
    assert told.message.startswith("knn-pixels: every image has the same score")


def test_the_command_judges_images_without_labels(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["anomaly", "--train", str(place / "train"), "--detectors", "pca", "-q"]
    out = ["--out", str(tmp_path / "out")]
    mixed = ["--test", str(place / "mixed")]
    labelled = ["--test", str(place / "test")]
    assert run([*command, *labelled, *out, "--threshold-fpr", "0.1"]) == EXIT_OK
    said = capsys.readouterr().out
    assert "AP (by chance)" in said
    assert "(0.5000)" in said
    assert "from 24 held-out normal images, at a false positive rate of 0.1; above it are" in said
    assert run([*command, *mixed, *out]) == EXIT_USAGE
    assert "--threshold-fpr 0.05 gives a verdict" in capsys.readouterr().err
    assert run([*command, *mixed, *out, "--threshold-fpr", "0.1"]) == EXIT_OK
    said = capsys.readouterr().out
    assert "fitted to 96 normal images, cut-off from 24 others" in said
    assert "verdict of every image" in said
    assert sorted(path.name for path in (tmp_path / "out" / "pca").iterdir()) == ["verdicts.csv"]
    assert not (tmp_path / "out" / "roc.svg").exists()
    assert run([*command, *mixed, *out, "--threshold-fpr", "0.01"]) == EXIT_USAGE
    assert "needs 99 or more held-out normal images" in capsys.readouterr().err


def test_an_oracle_needs_labels(place: Path) -> None:
    with pytest.raises(UsageError, match="oc-svm-oracle is tuned on labelled images"):
        judge_folder(place / "train", place / "mixed", detectors="oc-svm-oracle", threshold_fpr=0.1)
    assert bench.anomaly.judge_folder is judge_folder
