"""A labelled folder with something wrong: detectors that fail, places that clash, images that are
on two sides.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.__main__ import run
from bench.anomaly import AnomalyRecord, evaluate_folder
from bench.anomaly.detectors import DETECTORS, DetectorRow, DetectorSettings
from bench.anomaly.folder import evaluate as folder
from bench.errors import EXIT_INVALID, EXIT_OK, EXIT_USAGE, UsageError
from tests.anomaly.conftest import write_threes
from tests.conftest import RealSample, write_pngs


@pytest.fixture(scope="module")
def place(mnist: RealSample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 threes to learn from; 12 other threes and 14 other digits."""
    return write_threes(
        tmp_path_factory.mktemp("place"), mnist, num_train=40, num_normal=12, num_anomalous=14
    )


def broken(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fails(_settings: DetectorSettings) -> Any:
        raise UsageError(f"{name} cannot be made today")

    row = DETECTORS[name]
    monkeypatch.setitem(DETECTORS._rows, name, DetectorRow(**{**vars(row), "make": fails}))


def test_a_detector_that_fails_does_not_take_the_others_along(
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken(monkeypatch, "pca")
    command = ["anomaly", "--train", str(place / "train"), "--test", str(place / "test"), "-q"]
    command += ["--out", str(tmp_path / "out"), "--detectors"]
    assert run([*command, "knn-pixels,pca,mahalanobis-pixels"]) == EXIT_INVALID
    shown = capsys.readouterr()
    assert "mahalanobis-pixels" in shown.out
    assert "latentbench: pca failed: pca cannot be made today" in shown.err
    record = AnomalyRecord.model_validate_json((tmp_path / "out" / "record.json").read_text())
    assert [entry.name for entry in record.detectors] == ["knn-pixels", "mahalanobis-pixels"]
    assert [(one.name, one.reason) for one in record.failed] == [
        ("pca", "pca cannot be made today")
    ]
    assert (tmp_path / "out" / "knn-pixels" / "scores.csv").is_file()
    assert not (tmp_path / "out" / "pca").exists()
    assert run([*command, "pca"]) == EXIT_USAGE
    assert "cannot be made today" in capsys.readouterr().err


def test_a_group_leaves_out_what_the_images_do_not_admit(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`digits` takes 28 px; one anomaly cannot tune and judge an oracle."""
    few = tmp_path / "few"
    for kind, num in (("normal", 5), ("anomalous", 1)):
        (few / kind).mkdir(parents=True)
        for image in sorted((place / "test" / kind).iterdir())[:num]:
            (few / kind / image.name).write_bytes(image.read_bytes())
    command = ["anomaly", "--train", str(place / "train"), "--test", str(few), "-q"]
    command += ["--resize", "20x20", "--out", str(tmp_path / "out"), "--detectors"]
    assert run([*command, "shallow"]) == EXIT_OK
    told = capsys.readouterr().err
    record = AnomalyRecord.model_validate_json((tmp_path / "out" / "record.json").read_text())
    left_out = {one.name: one.reason for one in record.left_out}
    assert set(left_out) == {"knn-features", "mahalanobis-features", "oc-svm-oracle"}
    assert "extractor digits takes 28x28 px" in left_out["knn-features"]
    assert "tuned on one labelled image of each kind" in left_out["oc-svm-oracle"]
    assert {entry.name for entry in record.detectors} == set(DETECTORS.own) - set(left_out)
    assert all(f"{name} omitted: {reason}" in told for name, reason in left_out.items())
    assert run([*command, "pca,knn-features"]) == EXIT_INVALID  # asked for by name
    assert "knn-features failed: extractor 'digits' takes 28x28 px" in capsys.readouterr().err


def test_groups_know_what_networks_take(place: Path, mnist: RealSample, tmp_path: Path) -> None:
    """72x40 px: too large for most networks, and no square; nothing is trained to find out."""
    wide = np.pad(mnist.images[:8], ((0, 0), (6, 6), (22, 22), (0, 0)))
    write_pngs(wide[:4], tmp_path / "train")
    write_pngs(wide[4:6], tmp_path / "test" / "normal")
    write_pngs(wide[6:], tmp_path / "test" / "anomalous")
    options = {"detectors": "network,pca", "budget": "cpu"}
    asked: list[str] = []
    whole = folder.judge

    def watched(row: DetectorRow, *args: Any, **kwargs: Any) -> Any:
        asked.append(row.name)
        if row.name != "pca":
            raise UsageError("not today")
        return whole(row, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder, "judge", watched)
        found = evaluate_folder(tmp_path / "train", tmp_path / "test", **options)
    assert asked == ["deep-svdd", "deep-svdd-soft", "pca"]
    reasons = {one.name: one.reason for one in found.left_out}
    assert reasons["geotrans"].startswith("images of 72x40 px, and it turns images by 90 degrees")
    assert reasons["anogan"].startswith("images of 72x40 px, and it takes at most 64 px a side")
    assert not place.joinpath("pca").exists()


def test_results_do_not_go_into_what_is_read(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = place / "train", place / "test"
    before = sorted(place.rglob("*"))
    monkeypatch.chdir(place)
    for out in (train, test, test / "normal", train / "out", Path("test") / "a" / "b", "./train/x"):
        with pytest.raises(UsageError, match="which is an input; choose another --out"):
            evaluate_folder(train, test, detectors="pca", out=out)
    assert sorted(place.rglob("*")) == before
    moved = tmp_path / "out" / "pca" / "train"
    moved.parent.mkdir(parents=True)
    write_pngs(np.zeros((2, 28, 28, 1), np.uint8), moved)
    with pytest.raises(UsageError, match="the folder for results of a detector"):
        evaluate_folder(moved, test, detectors="pca", out=tmp_path / "out")
    (tmp_path / "link").symlink_to(train)
    with pytest.raises(UsageError, match="which is an input"):
        evaluate_folder(train, test, detectors="pca", out=tmp_path / "link")


def test_detectors_of_an_earlier_run_are_removed(place: Path, tmp_path: Path) -> None:
    train, test = place / "train", place / "test"
    evaluate_folder(train, test, detectors="pca,knn-pixels,mahalanobis-pixels", out=tmp_path)
    (tmp_path / "knn-pixels" / "notes.txt").write_text("mine")
    (tmp_path / "own").mkdir()
    evaluate_folder(train, test, detectors="pca", out=tmp_path)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        "pca",
        "knn-pixels",
        "own",
    }
    assert [path.name for path in (tmp_path / "knn-pixels").iterdir()] == ["notes.txt"]
    names = {path.name for path in (tmp_path / "pca").iterdir()}
    assert names == {"scores.csv", "histogram.svg", "most-anomalous.png"}
    record = json.loads((tmp_path / "record.json").read_text())
    record["detectors"].append({**record["detectors"][0], "name": "../own"})
    (tmp_path / "record.json").write_text(json.dumps(record))
    evaluate_folder(train, test, detectors="knn-pixels", out=tmp_path)
    assert (tmp_path / "own").is_dir()
    assert not (tmp_path / "pca").exists()


class Centroid:
    """Distance to the mean image, with what it was asked for."""

    asked: list[DetectorSettings] = []  # noqa: RUF012  (of the class)

    def __init__(self, settings: DetectorSettings) -> None:
        self.asked.append(settings)
        self.options = dict(settings.options)

    def fit(self, normal: np.ndarray) -> None:
        self.mean = normal.mean(axis=0)

    def scores(self, images: np.ndarray) -> np.ndarray:
        return np.square(images - self.mean).sum(axis=(1, 2, 3))


def test_a_budget_is_for_networks(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = DetectorRow(name="centroid", title="t", source="s", make=Centroid, trains=True)
    monkeypatch.setitem(DETECTORS._rows, "centroid", row)
    monkeypatch.setattr(Centroid, "asked", [])
    paths = place / "train", place / "test"
    found = evaluate_folder(*paths, detectors="centroid,knn-pixels", budget="cpu")
    assert Centroid.asked[-1].options == {"budget": "cpu"}
    assert [entry.budget for entry in found.record.detectors] == ["cpu", None]
    plain = evaluate_folder(*paths, detectors="centroid")
    assert Centroid.asked[-1].options == {}
    assert plain.record.detectors[0].budget == "published"
    with pytest.raises(UsageError, match="--budget cpu and --set budget=published: give one"):
        evaluate_folder(*paths, detectors="centroid", budget="cpu", options={"budget": "published"})
    command = ["anomaly", "--train", str(paths[0]), "--test", str(paths[1]), "-q"]
    assert run([*command, "--detectors", "pca", "--budget", "short"]) == EXIT_USAGE
    assert "--budget short: expected published or cpu" in capsys.readouterr().err
    for names in ("pca", "pca,knn-pixels", "shallow"):
        assert run([*command, "--detectors", names, "--budget", "cpu"]) == EXIT_USAGE
        told = capsys.readouterr().err
        assert "--budget cpu: none of the chosen detectors trains a network (" in told
        assert "leave it out" in told


@pytest.mark.parametrize(
    "option",
    [
        ["--num-seeds", "3"],
        ["--contamination", "none"],
        ["--executor", "local"],
        ["--ledger", "x"],
        ["--data-root", "x"],
    ],
)
def test_options_of_the_benchmark_are_refused(
    place: Path, tmp_path: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["anomaly", "--train", str(place / "train"), "--test", str(place / "test"), "-q"]
    out = tmp_path / "out"
    assert run([*command, "--detectors", "pca", "--out", str(out), *option]) == EXIT_USAGE
    assert f"remove {option[0]}: only for the benchmark" in capsys.readouterr().err
    assert not out.exists()


def test_what_features_have_seen(place: Path) -> None:
    paths = place / "train", place / "test"
    names = "knn-features,knn-hog,knn-pixels"
    by_digits = evaluate_folder(*paths, detectors=names).record.detectors
    by_hog = evaluate_folder(*paths, detectors=names, extractor="hog").record.detectors
    found = [
        [(one.labels, one.seen, one.extractor) for one in run_] for run_ in (by_digits, by_hog)
    ]
    own = [("none", "", "hog"), ("none", "", None)]
    assert found == [
        [("outside", "MNIST labels (digits)", "digits"), *own],
        [("none", "", "hog"), *own],
    ]


def test_options_are_recorded_as_they_were_used(place: Path) -> None:
    """Defaults, those given as text, and those that the fit chose."""
    paths = place / "train", place / "test"
    found = evaluate_folder(*paths, detectors="kde,oc-svm,pca,mahalanobis-pixels")
    entries = {entry.name: entry for entry in found.record.detectors}
    kde = entries["kde"].options
    assert kde["bandwidth"] in [2 ** (half / 2) for half in range(-9, 11)]
    assert (kde["variance"], kde["contrast"]) == (0.95, 0)
    assert 0 < entries["oc-svm"].options["gamma"] < 1
    assert entries["oc-svm"].options["nu"] == 0.1
    assert 1 <= entries["pca"].options["components"] < 40
    assert 0 < entries["mahalanobis-pixels"].options["shrinkage"] <= 1
    assert entries["kde"].given == {}
    assert len({entry.code for entry in entries.values()}) == 4
    given = {"budget": "cpu", "epochs": "0.01", "draws": 2}
    (network,) = evaluate_folder(*paths, detectors="vae-elbo", options=given).record.detectors
    expected = {"recipe": "vae", "epochs": 0.01, "draws": 2, "budget": "cpu", "latent_dim": 16}
    assert expected.items() <= network.options.items()
    assert {"train_steps", "batch_size", "learning_rate"} <= set(network.options)
    assert network.given == given


def test_images_on_two_sides(mnist: RealSample, tmp_path: Path) -> None:
    """Two training images among the test images, one image under both labels, once in colour."""
    train, test = tmp_path / "train", tmp_path / "test"
    write_pngs(mnist.images[:10], train)
    write_pngs(mnist.images[8:14], test / "normal")
    write_pngs(mnist.images[20:24], test / "anomalous")
    clean = mnist.images[30:32]
    colour = np.repeat(mnist.images[12], 3, axis=2)
    Image.fromarray(colour).save(test / "anomalous" / "again.png")
    found = evaluate_folder(train, test, detectors="knn-pixels")
    findings = {finding.code: finding for finding in found.record.findings}
    seen = findings["train-in-test"]
    assert (seen.count, seen.severity) == (2, "warning")
    assert seen.examples == ("normal/00000.png", "normal/00001.png")
    assert "2 normal, 0 anomalous" in seen.message
    both = findings["both-labels"]
    assert (both.count, both.examples) == (2, ("anomalous/again.png", "normal/00004.png"))
    for path in (*(test / "normal").iterdir(), *(test / "anomalous").iterdir()):
        path.unlink()
    write_pngs(clean[:1], test / "normal")
    write_pngs(clean[1:], test / "anomalous")
    again = evaluate_folder(train, test, detectors="knn-pixels")
    codes = {finding.code for finding in again.record.findings}
    assert not codes & {"train-in-test", "both-labels", "grey-and-colour"}


def test_grey_beside_colour(place: Path, mnist: RealSample, tmp_path: Path) -> None:
    for kind, part in (("normal", mnist.images[:3]), ("anomalous", mnist.images[3:6])):
        write_pngs(part, tmp_path / "test" / kind)
    red = np.repeat(mnist.images[7], 3, axis=2) // np.array([1, 2, 3], np.uint8)
    Image.fromarray(red).save(tmp_path / "test" / "anomalous" / "red.png")
    found = evaluate_folder(place / "train", tmp_path / "test", detectors="knn-pixels")
    (finding,) = [one for one in found.record.findings if one.code == "grey-and-colour"]
    assert "normal test and training images are grey, anomalous test images" in finding.message


def test_an_oracle_is_the_same_for_every_seed(place: Path) -> None:
    paths = place / "train", place / "test"
    first, second = (
        evaluate_folder(*paths, detectors="oc-svm-oracle", seed=seed).judged[0] for seed in (0, 5)
    )
    np.testing.assert_array_equal(first.rows, second.rows)
    np.testing.assert_array_equal(first.scores, second.scores)
