"""Detectors judged on a labelled folder: the numbers, the files, the command."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

import bench
from bench.__main__ import run
from bench.anomaly import AnomalyRecord, evaluate_folder
from bench.anomaly.detectors import DETECTORS, DetectorRow
from bench.anomaly.fit_and_judge import Task, judge, oracle_rows
from bench.errors import (
    EXIT_INVALID,
    EXIT_OK,
    EXIT_USAGE,
    InputError,
    LatentbenchError,
    UnknownNameError,
    UsageError,
)
from tests.anomaly.conftest import write_threes
from tests.conftest import RealSample, write_pngs


@pytest.fixture(scope="module")
def place(mnist: RealSample, tmp_path_factory):
    """60 threes to learn from; 25 other threes and 30 other digits."""
    place = write_threes(
        tmp_path_factory.mktemp("place"), mnist, num_train=60, num_normal=25, num_anomalous=30
    )
    threes, others = (mnist.images[mnist.labels == 3], mnist.images[mnist.labels != 3])
    write_pngs(np.concatenate([threes[60:85], others[:30]]), place / "mixed")
    lines = [f"{i:05d}.png,{int(i >= 25)}" for i in range(55)]
    (place / "labels.csv").write_text("\n".join(lines))
    return place


def test_numbers_are_those_of_the_scores(place, mnist: RealSample):
    result = bench.evaluate_folder(place / "train", place / "test", detectors=["pca", "knn-pixels"])
    labels = result.task.labels
    for one, entry in zip(result.judged, result.record.detectors, strict=True):
        assert entry.name == one.row.name
        assert entry.auc == pytest.approx(roc_auc_score(labels, one.scores), abs=1e-12)
        expected = average_precision_score(labels, one.scores)
        assert entry.average_precision == pytest.approx(expected, abs=1e-12)
        assert entry.interval.low < entry.auc < entry.interval.high
        assert (entry.num_normal, entry.num_anomalous, entry.num_tuned) == (25, 30, 0)
    threes = mnist.images[mnist.labels == 3]
    alone = DETECTORS["pca"].make(bench.anomaly.detectors.DetectorSettings())
    alone.fit(threes[:60])
    np.testing.assert_allclose(
        result.judged[0].scores[:25], alone.scores(threes[60:85]), rtol=1e-12
    )


def test_a_csv_gives_what_subfolders_give(place):
    by_folder = evaluate_folder(place / "train", place / "test", detectors="pca")
    by_csv = evaluate_folder(
        place / "train", place / "mixed", labels=place / "labels.csv", detectors="pca"
    )
    np.testing.assert_array_equal(by_csv.judged[0].scores, by_folder.judged[0].scores)
    assert by_csv.record.detectors[0].auc == by_folder.record.detectors[0].auc
    assert by_csv.record.labels_sha256 is not None


def test_an_oracle_is_not_judged_on_what_it_was_tuned_on(place):
    result = evaluate_folder(place / "train", place / "test", detectors="oc-svm-oracle")
    entry = result.record.detectors[0]
    # a tenth of 25 and of 30, rounded down
    assert (entry.num_tuned, entry.num_normal, entry.num_anomalous) == (5, 23, 27)
    assert entry.labels == "test"
    tuned = oracle_rows(result.task.labels)
    assert not set(tuned.tolist()) & set(result.judged[0].rows.tolist())
    assert sorted([*tuned, *result.judged[0].rows]) == list(range(55))
    with pytest.raises(UsageError, match="1 anomalous image to judge by: .*give two or more"):
        oracle_rows(np.array([0, 0, 0, 1]))


def test_every_detector_of_this_package(place):
    # those of other packages train networks for hours; tests/baselines/detectors has them
    names = DETECTORS.own
    result = evaluate_folder(place / "train", place / "test", detectors=list(names))
    areas = {entry.name: entry.auc for entry in result.record.detectors}
    assert set(areas) == set(names)
    assert min(areas.values()) > 0.7
    assert areas["knn-features"] > 0.99
    extractors = {entry.name: entry.extractor for entry in result.record.detectors}
    assert extractors["knn-features"] == "digits"
    assert extractors["knn-pixels"] is None


def test_files(place, tmp_path):
    out = tmp_path / "out"
    evaluate_folder(place / "train", place / "test", detectors=["pca", "kde"], out=out)
    record = AnomalyRecord.model_validate_json((out / "record.json").read_text())
    assert [entry.name for entry in record.detectors] == ["pca", "kde"]
    assert record.train.num_images == 60
    assert [part.num_images for part in record.test] == [25, 30]
    assert (out / "roc.svg").read_text().startswith("<svg")
    for name in ("pca", "kde"):
        assert "<svg" in (out / name / "histogram.svg").read_text()
        with (out / name / "scores.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        assert len(rows) == 55
        labels = np.array([row["label"] == "anomalous" for row in rows])
        assert all(row["name"].startswith(row["label"]) for row in rows)
        scores = np.array([float(row["score"]) for row in rows])
        entry = next(entry for entry in record.detectors if entry.name == name)
        assert roc_auc_score(labels, scores) == pytest.approx(entry.auc, abs=1e-12)
        best = [int(row["rank"]) for row in rows].index(1)
        assert scores[best] == scores.max()
    heights = []
    for name in ("pca", "kde"):
        with Image.open(out / name / "most-anomalous.png") as image:
            heights.append(image.size[1])
    assert heights[0] > 1.7 * heights[1]  # each image above its reconstruction
    again = tmp_path / "again"
    evaluate_folder(place / "train", place / "test", detectors=["pca", "kde"], out=again)
    for path in out.rglob("*.*"):
        if path.name != "record.json":
            assert path.read_bytes() == (again / path.relative_to(out)).read_bytes()


def test_ranks_of_equal_scores(place, tmp_path):
    """Every image twice: neighbours in rank share the better one."""
    evaluate_folder(place / "train", place / "test", detectors="knn-pixels", out=tmp_path)
    with (tmp_path / "knn-pixels" / "scores.csv").open() as stream:
        rows = [(float(row["score"]), int(row["rank"])) for row in csv.DictReader(stream)]
    for score, rank in rows:
        assert rank == 1 + sum(other > score for other, _ in rows)


def test_arguments_that_do_not_fit(place, tmp_path, mnist: RealSample):
    train, test = place / "train", place / "test"
    with pytest.raises(UnknownNameError, match="unknown detector 'pcaa'.*Did you mean 'pca'"):
        evaluate_folder(train, test, detectors="pcaa")
    with pytest.raises(UsageError, match="no detector is named"):
        evaluate_folder(train, test, detectors=[])
    with pytest.raises(UsageError, match="options belong to one detector, and 2 are named"):
        evaluate_folder(train, test, detectors=["pca", "kde"], options={"variance": 0.5})
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(UsageError, match=r"cannot be written there: .*file is a file; name a"):
            evaluate_folder(train, test, detectors="pca", out=out)
    for seed in (-1, 2**32):
        with pytest.raises(UsageError, match=f"seed {seed}: expected 0 to 4,294,967,295"):
            evaluate_folder(train, test, detectors="isolation-forest", seed=seed)
    with pytest.raises(UnknownNameError, match="unknown extractor"):
        evaluate_folder(train, test, detectors="pca", extractor="nonsense")
    small = write_pngs(mnist.images[:6, ::2, ::2], tmp_path / "small")
    with pytest.raises(InputError, match="training images are 14x14 px, test images 28x28 px"):
        evaluate_folder(small, test, detectors="pca")
    evaluate_folder(small, test, detectors="pca", resize="14x14")
    few = write_pngs(mnist.images[:3], tmp_path / "few")
    with pytest.raises(UsageError, match="knn-pixels needs 5 or more normal images, got 3"):
        evaluate_folder(few, test, detectors="knn-pixels")


class _Broken:
    def __init__(self, scores):
        self._scores = scores

    def fit(self, normal):
        pass

    def scores(self, images):
        return self._scores


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.array([1.0, np.nan, 2.0, 3.0]), "'broken': 1 of 4 scores are not finite.*leave it out"),
        (np.array([1.0, 2.0]), "'broken' gave scores of shape .2,.; expected 4 numbers"),
        (np.ones((4, 1)), "'broken' gave scores of shape .4, 1.; expected 4 numbers"),
        ([1.0, 2.0, 3.0, 4.0], "'broken' gave scores of type list; expected 4 numbers"),
        (None, "'broken' gave scores of type NoneType"),
        (np.array([1.0, 2.0, None, 4.0]), "'broken' gave scores of type object"),
        (np.array(["1", "2", "3", "4"]), "'broken' gave scores of type <U1"),
    ],
)
def test_a_detector_that_gives_no_scores(mnist: RealSample, scores, message):
    row = DetectorRow(name="broken", title="-", source="-", make=lambda _: _Broken(scores))
    task = Task(normal=mnist.images[:5], images=mnist.images[:4], labels=np.array([0, 1, 0, 1]))
    with pytest.raises(LatentbenchError, match=message):
        judge(row, task, seed=0, device="cpu", extractor="digits")


def test_the_command(place, tmp_path, capsys):
    command = ["anomaly", "--train", str(place / "train"), "--test", str(place / "test")]
    command += ["--out", str(tmp_path / "out"), "--quiet"]
    assert run([*command, "--detectors", "pca,knn-pixels", "--detectors", "kde"]) == EXIT_OK
    out = capsys.readouterr().out
    assert "trained on 60 normal images, evaluated on 55 labelled ones" in out
    for name in ("pca", "knn-pixels", "kde", "AUC", "95 % interval", "FPR at 95 % TPR"):
        assert name in out
    assert run([*command, "--detectors", "knn-pixels", "--set", "k=2", "--json"]) == EXIT_OK
    record = json.loads(capsys.readouterr().out)
    assert record["detectors"][0]["options"] == {"k": 2}
    assert record["detectors"][0]["given"] == {"k": "2"}
    assert run([*command, "--detectors", "pca", "--set", "variance"]) == EXIT_USAGE
    assert "--set 'variance': expected KEY=VALUE" in capsys.readouterr().err
    twice = ["--set", "k=3", "--set", "k=4"]
    assert run([*command, "--detectors", "knn-pixels", *twice]) == EXIT_USAGE
    assert "--set k is given twice, as 3 and as 4; give one" in capsys.readouterr().err
    assert run([*command, "--detectors", "nonsense"]) == EXIT_USAGE
    assert run(["anomaly", "--detectors", "pca", "--train", "x"]) == EXIT_USAGE
    bad = [*command, "--detectors", "pca", "--labels", str(place / "labels.csv")]
    bad[bad.index("--test") + 1] = str(place / "train")
    capsys.readouterr()
    assert run(bad) == EXIT_INVALID
    assert "no label for 00055.png" in capsys.readouterr().err


def test_the_lists(capsys):
    assert run(["detectors"]) == EXIT_OK
    listed = capsys.readouterr().out
    for name in DETECTORS:
        assert name in listed
