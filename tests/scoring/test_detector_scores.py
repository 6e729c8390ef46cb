"""`score --detector`: what judges `anomaly_auc`, where its images come from, what a record says."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from bench.__main__ import run
from bench.anomaly.detectors import DETECTORS, DetectorRow, DetectorSettings
from bench.data.datasets import Dataset
from bench.errors import (
    EXIT_INTERNAL,
    EXIT_OK,
    BundleError,
    LatentbenchError,
    UnknownNameError,
    UsageError,
)
from bench.intake import read_images
from bench.references.build import build_from
from bench.references.bundle import load_reference
from bench.references.lookup import find_manifest
from bench.scoring.detector_scores import reference_pixels
from bench.scoring.scorer import Scorer
from tests.conftest import RealSample, write_pngs

ONE = {"metrics": "anomaly_auc"}


@pytest.fixture(scope="module")
def place(mnist: RealSample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference of 120 and 60 digits of folders of its own, and 40 damaged ones to score."""
    place = tmp_path_factory.mktemp("place")
    write_pngs(mnist.images[:120], place / "train")
    write_pngs(mnist.images[120:180], place / "test")
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 60, (40, 28, 28, 1))
    damaged = (mnist.images[180:220] + noise).clip(0, 255).astype(np.uint8)
    write_pngs(damaged, place / "samples")
    return place


@pytest.fixture(scope="module")
def manifest(place: Path) -> str:
    (found,) = build_from(
        "own",
        place / "references",
        extractor="digits",
        train=place / "train",
        test=place / "test",
    )
    return str(found)


def _images(path: Path) -> NDArray[np.uint8]:
    report = read_images(path)
    assert report.images is not None
    return report.images.images


def area(name: str, place: Path, mnist: RealSample) -> float:
    """The AUC from the images themselves."""
    one = DETECTORS.find(name).make(DetectorSettings(seed=2020))
    one.fit(mnist.images[:120])
    scores = [one.scores(_images(place / "samples")), one.scores(mnist.images[120:180])]
    return float(roc_auc_score(np.repeat([1, 0], [40, 60]), np.concatenate(scores)))


@pytest.mark.parametrize("name", ["pca", "knn-pixels", "isolation-forest"])
def test_a_detector_on_pixels(name: str, place: Path, manifest: str, mnist: RealSample) -> None:
    record = Scorer(reference=manifest, detector=name, **ONE).score(place / "samples")
    assert record.value("anomaly_auc") == pytest.approx(area(name, place, mnist), abs=1e-9)
    assert record.detector == name
    assert f"|detector={name}|" in record.signature
    assert record.values[0].constants["detector"] == name
    assert record.values[0].interval is not None


def test_a_detector_on_features(place: Path, manifest: str) -> None:
    record = Scorer(reference=manifest, detector="mahalanobis-features", **ONE).score(
        place / "samples"
    )
    reference = load_reference(Path(manifest))
    one = DETECTORS.find("mahalanobis-features").make(DetectorSettings())
    one.fit_features(reference.train)
    assert reference.test is not None
    held_out = one.scores_of_features(reference.test.values)
    scorer = Scorer(reference=manifest, **ONE)
    folder = one.scores_of_features(scorer.targets[0].network(_images(place / "samples")).values)
    labels = np.repeat([1, 0], [len(folder), len(held_out)])
    expected = roc_auc_score(labels, np.concatenate([folder, held_out]))
    assert record.value("anomaly_auc") == pytest.approx(expected, abs=1e-3)


def test_the_metrics_own_detector_stays(place: Path, manifest: str) -> None:
    plain = Scorer(reference=manifest, **ONE).score(place / "samples")
    named = Scorer(reference=manifest, detector="knn-features", **ONE).score(place / "samples")
    assert plain.signature == named.signature
    assert plain.values == named.values
    assert plain.detector is None
    assert plain.values[0].constants["k"] == 5
    without = Scorer(reference=manifest, metrics="fid", detector="pca").score(place / "samples")
    assert without.detector is None


def test_results_of_detectors_are_not_mixed_up(place: Path, manifest: str) -> None:
    """The cache, and a second submission with the same scorer."""
    values = {
        name: Scorer(reference=manifest, detector=name, **ONE).score(place / "samples")
        for name in (None, "pca", "kde")
    }
    assert len({record.value("anomaly_auc") for record in values.values()}) == 3
    again = Scorer(reference=manifest, detector="pca", **ONE).score(place / "samples")
    assert again.from_cache
    assert again.value("anomaly_auc") == values["pca"].value("anomaly_auc")
    scorer = Scorer(reference=manifest, detector="pca", use_cache=False, **ONE)
    first = scorer.score(place / "samples")
    scorer.score(place / "test")
    assert scorer.score_images(_images(place / "samples"), name="memory").value(
        "anomaly_auc"
    ) == pytest.approx(first.value("anomaly_auc"), abs=1e-12)


def test_the_curve_is_that_of_the_detector(place: Path, manifest: str) -> None:
    scorer = Scorer(reference=manifest, detector="pca", use_cache=False, **ONE)
    record = scorer.score(place / "samples")
    exhibits = scorer.exhibits(record)
    found = np.trapezoid(exhibits["roc_true_positives"], exhibits["roc_false_positives"])
    assert found == pytest.approx(record.value("anomaly_auc"), abs=0.02)


def test_pixels_that_are_not_at_hand(place: Path, manifest: str, mnist: RealSample) -> None:
    with pytest.raises(BundleError, match="'pca' sees pixels, and the train images of reference"):
        Scorer(reference="mnist", detector="pca", **ONE).score(place / "samples")
    moved = place / "train" / "00000.png"
    data = moved.read_bytes()
    moved.write_bytes((place / "train" / "00001.png").read_bytes())
    try:
        with pytest.raises(BundleError, match="those found have other pixels"):
            Scorer(reference=manifest, detector="pca", use_cache=False, **ONE).score(
                place / "samples"
            )
    finally:
        moved.write_bytes(data)


def test_pixels_of_a_data_set(monkeypatch: pytest.MonkeyPatch, mnist: RealSample) -> None:
    """A data set under the name of the reference, but not the one it was built from."""
    reference = load_reference(find_manifest("mnist"))
    monkeypatch.setattr(
        "bench.data.sources.load_dataset",
        lambda *_, **__: Dataset("mnist", "test", mnist.images, mnist.labels),
    )
    with pytest.raises(BundleError, match="2,000 images, the reference has more"):
        reference_pixels(reference, "test", "pca")


def test_detectors_that_cannot_judge_a_folder(place: Path, manifest: str) -> None:
    with pytest.raises(UsageError, match="tuned on labelled test images, and a folder to score"):
        Scorer(reference=manifest, detector="oc-svm-oracle")
    with pytest.raises(UnknownNameError, match="unknown detector 'pcaa'"):
        Scorer(reference=manifest, detector="pcaa")
    plain = Scorer(reference=place / "train", extractor="digits", detector="pca", **ONE)
    entry = plain.score(place / "samples").values[0]
    assert entry.value is None
    assert "held-out" in (entry.reason or "")


def test_the_command(
    place: Path, manifest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["score", str(place / "samples"), "--reference", manifest, "--out", str(tmp_path)]
    assert run([*command, "--metrics", "anomaly_auc", "--detector", "pca"]) == EXIT_OK
    out = capsys.readouterr().out
    assert "anomaly_auc: computed with detector pca" in out
    assert "|detector=pca|" in out


def _ends_early(*, fits: bool, found: object) -> type:
    class Ends:
        """Raises in its fit, or gives what is no score for each image."""

        def __init__(self, _settings: DetectorSettings) -> None: ...

        def fit(self, normal: NDArray[np.uint8]) -> None:
            if not fits:
                raise ValueError("no fit today")

        fit_features = fit

        def scores(self, images: NDArray[np.uint8]) -> object:
            return found(len(images)) if callable(found) else found

        scores_of_features = scores

    return Ends


@pytest.mark.parametrize("reads", ["pixels", "features"])
@pytest.mark.parametrize(
    ("fits", "found", "message"),
    [
        (True, lambda num: np.zeros(num - 1), r"gave scores of shape \(39,\); expected 40 numbers"),
        (True, lambda num: np.zeros((num, 1)), r"gave scores of shape \(40, 1\); expected 40"),
        (True, lambda num: [0.0] * num, "gave scores of type list"),
        (True, lambda num: np.full(num, None), "gave scores of type object"),
        (True, lambda num: np.full(num, np.nan), "40 of 40 scores are not finite"),
        # those of the 40 images pass, those of the 60 held-out ones do not
        (True, np.zeros(40), r"gave scores of shape \(40,\); expected 60"),
        (False, None, r"failed: ValueError: no fit today \(test_detector_scores.py:[0-9]+\)"),
    ],
)
def test_what_gives_no_scores_is_not_published(
    place: Path,
    manifest: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reads: Literal["pixels", "features"],
    fits: bool,
    found: object,
    message: str,
) -> None:
    make = _ends_early(fits=fits, found=found)
    row = DetectorRow(name="ends", title="t", source="s", make=make, reads=reads)
    monkeypatch.setitem(DETECTORS._rows, "ends", row)
    scorer = Scorer(reference=manifest, detector="ends", use_cache=False, **ONE)
    with pytest.raises(LatentbenchError, match=f"detector 'ends'.*{message}"):
        scorer.score(place / "samples")
    command = ["score", str(place / "samples"), "--reference", manifest, "--out", str(tmp_path)]
    command += ["--metrics", "anomaly_auc", "--detector", "ends", "--no-cache"]
    assert run(command) == EXIT_INTERNAL
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    assert "anomaly_auc" not in shown.out


def test_a_budget_that_a_network_never_reads(
    place: Path, manifest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = _ends_early(fits=True, found=np.zeros)
    row = DetectorRow(name="ends", title="t", source="s", make=make, trains=True)
    monkeypatch.setitem(DETECTORS._rows, "ends", row)
    scorer = Scorer(reference=manifest, detector="ends", budget="cpu", use_cache=False, **ONE)
    with pytest.raises(UsageError, match="detector 'ends' takes no options, got budget"):
        scorer.score(place / "samples")


class Centroid:
    """Distance to the mean image; remembers what it was asked for."""

    asked: list[dict[str, float | int | str]] = []  # noqa: RUF012  (of the class)

    def __init__(self, settings: DetectorSettings) -> None:
        self.asked.append(settings.options)
        self.power = 1 if settings.options == {"budget": "cpu"} else 2

    def fit(self, normal: NDArray[np.uint8]) -> None:
        self.mean = normal.mean(axis=0)

    def scores(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        return (np.abs(images - self.mean) ** self.power).sum(axis=(1, 2, 3))


@pytest.fixture
def centroid(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector that counts as a network."""
    row = DetectorRow(name="centroid", title="t", source="s", make=Centroid, trains=True)
    monkeypatch.setitem(DETECTORS._rows, "centroid", row)
    monkeypatch.setattr(Centroid, "asked", [])


@pytest.mark.usefixtures("centroid")
def test_the_budget_of_a_network(place: Path, manifest: str) -> None:
    """It reaches the detector, is in record and signature, and results are not mixed up."""
    full, short = (
        Scorer(reference=manifest, detector="centroid", budget=budget, **ONE).score(
            place / "samples"
        )
        for budget in (None, "cpu")
    )
    assert Centroid.asked == [{"budget": "published"}, {"budget": "cpu"}]
    assert (full.detector, short.detector) == ("centroid", "centroid:cpu")
    assert "|detector=centroid:cpu|" in short.signature
    assert short.values[0].constants["budget"] == "cpu"
    assert full.value("anomaly_auc") != short.value("anomaly_auc")
    again = Scorer(reference=manifest, detector="centroid", budget="published", **ONE)
    assert again.score(place / "samples").from_cache


@pytest.mark.usefixtures("centroid")
@pytest.mark.parametrize(
    ("detector_name", "budget", "message"),
    [
        ("centroid", "short", "--budget short: expected published or cpu"),
        ("pca", "cpu", "detector 'pca' trains no network; leave it out"),
        (None, "cpu", "detector 'knn-features' trains no network"),
    ],
)
def test_budgets_that_nothing_takes(
    manifest: str, detector_name: str | None, budget: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        Scorer(reference=manifest, detector=detector_name, budget=budget, **ONE)


@pytest.mark.usefixtures("centroid")
def test_a_score_of_other_code_is_not_used(
    place: Path, manifest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code of a detector, whatever package it lives in, is part of what a score is known by."""
    digests = []

    def code(row: DetectorRow) -> str | None:
        digests.append(row.name)
        return version["code"]

    monkeypatch.setattr("bench.scoring.detector_choice.detector_code", code)
    found = []
    version: dict[str, str | None] = {}
    for text in ("one", "one", "two"):
        version["code"] = text
        scorer = Scorer(reference=manifest, detector="centroid", budget="cpu", **ONE)
        found.append(scorer.score(place / "samples").from_cache)
    assert found == [False, True, False]
    version["code"] = None
    with pytest.raises(UsageError, match="'centroid': its source cannot be found.*--no-cache"):
        Scorer(reference=manifest, detector="centroid", **ONE)
    Scorer(reference=manifest, detector="centroid", use_cache=False, **ONE).score(place / "samples")
    assert set(digests) == {"centroid"}


@pytest.mark.usefixtures("centroid")
def test_the_command_takes_a_budget(
    place: Path, manifest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["score", str(place / "samples"), "--reference", manifest, "--out", str(tmp_path)]
    command += ["--metrics", "anomaly_auc", "--detector", "centroid", "--budget", "cpu"]
    assert run(command) == EXIT_OK
    assert "computed with detector centroid:cpu" in capsys.readouterr().out
