"""Reference bundles: what they hold, how they are found, built, checked and refused."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from bench.data.sources import DataSource
from bench.errors import BundleError, InputError, UsageError
from bench.extractors import EXTRACTORS
from bench.extractors.base import ExtractorChoice
from bench.intake import Size
from bench.metrics import METRICS
from bench.references.build import build_from
from bench.references.bundle import (
    Reference,
    load_reference,
    verify,
)
from bench.references.lookup import (
    find_manifest,
    list_references,
)
from bench.references.manifest import read_manifest
from bench.references.perfect_values import held_out_values, perfect_values
from bench.runtime.npz import arrays_from_bytes, arrays_to_bytes
from bench.scoring.scorer import Scorer
from bench.statistics.moments import Moments
from bench.statistics.neighbours.search import nearest_neighbours
from tests.conftest import RealSample, write_pngs
from tests.data.test_datasets import write_split
from tests.references.conftest import COMMITTED, build_reference, copy_bundle


@pytest.mark.parametrize("name", COMMITTED)
def test_committed_bundles_are_whole(name: str) -> None:
    reference = load_reference(find_manifest(name))
    manifest = reference.manifest
    assert (manifest.num_train, manifest.num_test, manifest.num_subset) == (60_000, 10_000, 10_000)
    assert manifest.extractor_digest == EXTRACTORS[manifest.extractor].weights.sha256
    assert reference.train_moments.n == 60_000
    # standardised over the train split: mean 0 and variance 1, or a unit that never fires
    np.testing.assert_allclose(reference.train_moments.mean, 0, atol=1e-4)
    variance = np.diag(reference.train_moments.covariance())
    assert np.logical_or(np.abs(variance - 1) < 1e-3, variance < 1e-8).all()
    assert reference.test is not None
    assert reference.test.values.shape == (10_000, 128)
    assert reference.class_shares is not None
    assert reference.class_shares.sum() == pytest.approx(1)
    assert reference.class_shares.min() > 0.08
    assert set(manifest.data_digests) == {"train", "test"}
    assert manifest.command.startswith(f"latentbench reference build {name}")


@pytest.mark.parametrize("name", COMMITTED)
def test_committed_neighbours_and_expectations_are_those_of_this_code(name: str) -> None:
    reference = load_reference(find_manifest(name))
    rows = np.arange(0, 10_000, 97)
    found = nearest_neighbours(reference.train[rows], reference.train, 6)
    np.testing.assert_allclose(
        found.distances[:, 1:], reference.train_nearest.distances[rows], rtol=1e-5
    )
    stored = reference.manifest.held_out["1000:2020"]
    metrics = [METRICS[metric] for metric in stored]
    assert {metric.name for metric in metrics} == {
        metric.name for metric in METRICS.values() if metric.expected is None
    }
    bare = Reference(
        manifest=reference.manifest.model_copy(update={"held_out": {}}),
        read=lambda: reference.statistics,
    )
    computed = held_out_values(bare, metrics, 1000, seed=2020)
    for metric, value in stored.items():
        assert computed[metric] == pytest.approx(value, rel=1e-4, abs=1e-6), metric


def test_a_built_bundle_holds_what_it_says(small: Path, mnist: RealSample) -> None:
    reference = load_reference(small)
    features = EXTRACTORS["digits"].resolve().load()(mnist.images[:500])
    moments = Moments.of(features.values[:300])
    np.testing.assert_allclose(reference.train_moments.mean, moments.mean, atol=1e-5)
    np.testing.assert_allclose(
        reference.train_moments.covariance(), moments.covariance(), atol=1e-4
    )
    np.testing.assert_allclose(reference.train, features.values[:300], rtol=2**-11, atol=1e-5)
    assert reference.test is not None
    np.testing.assert_allclose(reference.test.values, features.values[300:], rtol=2**-11, atol=1e-5)
    assert features.logits is not None
    counts = np.bincount(features.logits[:300].argmax(1), minlength=10)
    assert reference.statistics.train_class_counts is not None
    np.testing.assert_array_equal(reference.statistics.train_class_counts, counts)
    assert reference.test_nearest is not None
    assert reference.test_nearest.distances.shape == (200, 5)
    arrays = arrays_from_bytes(verify(small)[1], "small")
    np.testing.assert_array_equal(arrays["test_labels"], mnist.labels[300:500])


def test_building_twice_gives_the_same_bundle(
    small: Path, mnist: RealSample, tmp_path: Path
) -> None:
    again = build_reference(
        "small",
        tmp_path,
        extractor="digits",
        train=mnist.images[:300],
        test=mnist.images[300:500],
        labels={"train": mnist.labels[:300], "test": mnist.labels[300:500]},
        command="made by a test",
    )
    first = arrays_from_bytes(verify(small)[1], "small")
    second = arrays_from_bytes(verify(again)[1], "small")
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_allclose(
            second[key].astype(float), first[key].astype(float), rtol=1e-5, atol=1e-5
        )


def test_build_from_folders_is_found_by_name(
    mnist: RealSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTBENCH_DATA", str(tmp_path / "data"))
    train = write_pngs(mnist.images[:60], tmp_path / "train")
    test = write_pngs(mnist.images[60:100], tmp_path / "test")
    (path,) = build_from("mine", None, extractor="digits", train=train, test=test)
    assert path == tmp_path / "data" / "references" / "mine-digits.json"
    assert "mine" in {listed.manifest.name for listed in list_references() if listed.manifest}
    reference = load_reference(find_manifest("mine"))
    assert (reference.manifest.num_train, reference.manifest.num_test) == (60, 40)
    assert f"--train {train}" in reference.manifest.command
    record = Scorer(reference="mine", metrics=["fid", "coverage_k5"]).score(test)
    assert record.reference.name == "mine"
    assert record.value("fid") > 0


def test_images_of_a_wrong_size_are_told_with_their_folder(
    mnist: RealSample, tmp_path: Path
) -> None:
    """In a submission, in real images to compare with, and in what a reference is built of."""
    good = write_pngs(mnist.images[:12], tmp_path / "good")
    small = write_pngs(np.zeros((12, 7, 7, 1), np.uint8), tmp_path / "small")
    told = f"^{re.escape(str(small))}: images are 7x7 px .* Resize them: --resize WIDTHxHEIGHT$"
    scorer = Scorer(reference=str(good), extractor="hog", use_cache=False)
    with pytest.raises(InputError, match=told):
        scorer.score(small)
    with pytest.raises(InputError, match=told):
        Scorer(reference=str(small), extractor="hog", use_cache=False)
    for train, test in ((small, good), (good, small)):
        with pytest.raises(InputError, match=told):
            build_from("x", tmp_path / "out", extractor="hog", train=train, test=test)
    assert not (tmp_path / "out").exists()


def test_build_from_a_torchvision_data_set(mnist: RealSample, tmp_path: Path) -> None:
    raw = tmp_path / "KMNIST" / "raw"
    for prefix, n in (("train", 30), ("t10k", 12)):
        write_split(raw, prefix, mnist, n, zipped=False)
    (path,) = build_from(
        "kmnist", tmp_path, extractor="digits", data="torchvision:KMNIST", data_root=tmp_path
    )
    manifest = load_reference(path).manifest
    assert (manifest.num_train, manifest.num_test) == (30, 12)
    assert "--extractor digits --data torchvision:KMNIST --out " in manifest.command


def test_a_reference_without_held_out_images(mnist: RealSample, tmp_path: Path) -> None:
    path = build_reference(
        "trainonly", tmp_path, extractor="digits", train=mnist.images[:50], test=None, command="x"
    )
    reference = load_reference(path)
    assert reference.test is None
    expected = perfect_values(reference, METRICS.values(), 20, seed=0)
    assert expected["density_k5"].value == 1.0
    assert expected["fid"].value is None
    assert expected["fid"].source == "the reference has no held-out images"
    record = Scorer(reference=str(path)).score_images(mnist.images[50:90], name="x")
    entries = {entry.metric: entry for entry in record.values}
    assert entries["anomaly_auc"].value is None
    assert "held-out" in (entries["anomaly_auc"].reason or "")
    assert entries["fid"].value is not None


def test_damaged_arrays_are_refused(small: Path, tmp_path: Path) -> None:
    path = copy_bundle(small, tmp_path)
    arrays = path.with_suffix(".npz")
    data = bytearray(arrays.read_bytes())
    data[len(data) // 2] ^= 1
    arrays.write_bytes(data)
    with pytest.raises(BundleError, match="damaged or changed: SHA-256 .* Rebuild it: made by"):
        load_reference(path)
    arrays.unlink()
    with pytest.raises(BundleError, match="the arrays of small-digits.json are missing"):
        load_reference(path)


def test_another_extractor_digest_is_refused_with_an_explanation(
    small: Path, tmp_path: Path
) -> None:
    path = copy_bundle(small, tmp_path)
    content = json.loads(path.read_text())
    content["extractor_digest"] = "1" * 64
    path.write_text(json.dumps(content))
    with pytest.raises(
        BundleError, match="was built with 'digits' weights of SHA-256 111111111111"
    ):
        Scorer(reference=str(path))


def test_other_extractor_than_the_bundle_is_refused(small: Path) -> None:
    with pytest.raises(BundleError, match="holds features of extractor 'digits', not of 'fashion'"):
        Scorer(reference=str(small), extractor="fashion")
    with pytest.raises(BundleError, match="not built for extractor 'fashion', only for digits"):
        Scorer(reference="mnist", extractor="fashion")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("train_mean"), "lacks the array 'train_mean'"),
        (lambda a: a.update(train_features=a["train_features"][:-1]), "'train_features'.* 300,N"),
        (lambda a: a["train_features"].fill(np.nan), "'train_features' holds NaN or infinite"),
        (lambda a: a["train_mean"].fill(np.inf), "'train_mean' holds NaN or infinite"),
        (lambda a: a["train_m2"].fill(np.nan), "'train_m2' holds NaN or infinite"),
        (lambda a: a.update(train_m2=np.array(["a", "b"])), "'train_m2' has dtype <U1"),
        (lambda a: a.update(train_features=np.array(["1", "2"])), "'train_features' has dtype <U1"),
        (lambda a: a["train_nearest_distances"].fill(np.nan), "'train_nearest_distances' holds"),
        (lambda a: a["train_nearest_indices"].fill(300), "'train_nearest_indices' names rows"),
        (lambda a: a["train_class_counts"].fill(0), "'train_class_counts' holds no counts"),
        (lambda a: a.update(train_class_counts=np.array([-1, 9])), "holds no counts"),
        (lambda a: a.update(content_shape=np.array(["x"])), "'content_shape' has dtype <U1"),
        (
            lambda a: a.update(content_shape=np.zeros(1, np.int64)),
            "reference cannot be read",
        ),
        (lambda a: a.update(train_mean=a["train_mean"][:-1]), "do not fit"),
    ],
)
def test_arrays_that_do_not_fit(small: Path, tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    path = copy_bundle(small, tmp_path)
    arrays = arrays_from_bytes(path.with_suffix(".npz").read_bytes(), "x")
    change(arrays)
    data = arrays_to_bytes(arrays)
    path.with_suffix(".npz").write_bytes(data)
    content = json.loads(path.read_text())
    content["arrays_sha256"] = hashlib.sha256(data).hexdigest()
    path.write_text(json.dumps(content))
    with pytest.raises(BundleError, match=message):
        load_reference(path)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"schema_version": 9}', "\x00"])
def test_files_that_are_no_manifests(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(BundleError, match=r"bad\.json: not a reference manifest"):
        load_reference(path)


def test_build_refuses_what_cannot_work(mnist: RealSample, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a reference needs at least 6"):
        build_reference(
            "tiny", tmp_path, extractor="digits", train=mnist.images[:5], test=None, command="x"
        )
    with pytest.raises(UsageError, match="'mnist' for 'digits' is in the package"):
        build_from("mnist", None)
    with pytest.raises(UsageError, match="which extractor"):
        build_from("mine", tmp_path, train=tmp_path)
    with pytest.raises(UsageError, match="letters, digits"):
        build_from("../up", tmp_path, extractor="digits")
    with pytest.raises(UsageError, match="--test needs --train"):
        build_from("x", tmp_path, extractor="digits", test=tmp_path)
    with pytest.raises(UsageError, match="not both"):
        build_from("x", tmp_path, extractor="digits", data="mnist", train=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_digest_covers_the_manifest(small: Path, tmp_path: Path) -> None:
    path = copy_bundle(small, tmp_path)
    before = load_reference(path).digest
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"num_train": 299}))
    assert load_reference(path).digest != before


def test_a_built_bundle_records_its_sources(mnist: RealSample, tmp_path: Path) -> None:
    train = write_pngs(mnist.images[:10], tmp_path / "real")
    (path,) = build_from("mine", tmp_path, extractor="random-conv", train=train)
    manifest = read_manifest(path)
    assert manifest.schema_version == 2
    assert manifest.sources == {"train": DataSource(path=str(train.absolute()))}
    reference = load_reference(path)
    assert reference.training_pixels is not None
    rows = np.array([1, 7])
    np.testing.assert_array_equal(reference.training_pixels(rows), mnist.images[rows])
    with pytest.raises(ValueError, match="either a data set or a path"):
        DataSource(dataset="mnist", path="x")


def test_build_with_resizing_records_it(
    mnist: RealSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = write_pngs(mnist.images[:10], tmp_path / "train")
    (path,) = build_from(
        "sized", tmp_path, extractor="random-conv", train=train, resize=Size(height=20, width=24)
    )
    manifest = read_manifest(path)
    assert (manifest.resize, manifest.width_px, manifest.height_px) == ("24x20", 24, 20)
    assert "--resize 24x20 --out" in manifest.command
    with pytest.raises(UsageError, match="--resize is for --train and --test"):
        build_from("sized", tmp_path, extractor="random-conv", data="mnist", resize=Size(20, 24))


def test_a_choice_that_an_extractor_does_not_have_builds_nothing(
    mnist: RealSample, tmp_path: Path
) -> None:
    train = write_pngs(mnist.images[:10], tmp_path / "train")
    for extractor, choice, message in (
        ("digits", ExtractorChoice(protocol="all"), "'digits' has no choice of protocol"),
        ("random-conv", ExtractorChoice(layer="64"), "'random-conv' has no choice of layer"),
        ("inception", ExtractorChoice(precision="bf16"), "Valid: exact, fp16, "),
    ):
        with pytest.raises(UsageError, match=message):
            build_from("x", tmp_path / "out", extractor=extractor, train=train, choice=choice)
    assert not (tmp_path / "out").exists()
