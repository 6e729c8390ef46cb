"""`latentbench latent`: files, table and page of several spaces, your own class, and refusals."""

from __future__ import annotations

import csv
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import bench.latent
from bench.__main__ import run
from bench.errors import EXIT_OK, EXIT_USAGE, InputError, UnknownNameError, UsageError
from bench.latent import arithmetic, interpolation
from bench.latent.context import Context
from bench.latent.data import LabelledImages, LatentData, LogisticClassifier
from bench.latent.evaluation import evaluate
from bench.latent.measures import GROUPS, MEASURES
from bench.latent.pictures import draw_pictures
from bench.latent.record import LatentRecord, read_latent_record
from bench.latent.space import PcaSpace, PixelSpace, checked, outside_space
from bench.latent.table import table_rows
from bench.latent.values import Absent, LatentMeasure, LatentValue, attempt, present
from bench.statistics.intervals import wilson
from tests.conftest import RealSample

OWN = """
    import numpy as np

    class MySpace:
        prior = "gaussian"

        def decode(self, codes):
            return np.clip(codes.reshape(len(codes), 4, 4, 1).repeat(7, 1).repeat(7, 2) * 64 + 64,
                           0, 255).astype(np.uint8)

        def encode(self, images):
            blocks = images[..., 0].reshape(len(images), 4, 7, 4, 7).mean(axis=(2, 4))
            return (blocks.reshape(len(images), 16) / 64 - 1).astype(np.float32)

        def sample_latents(self, n, seed):
            return np.random.default_rng(seed).standard_normal((n, 16)).astype(np.float32)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules), list(sys.path)
    (tmp_path / "own_space.py").write_text(textwrap.dedent(OWN))
    yield tmp_path
    for name in set(sys.modules) - before[0]:
        if name.startswith("own_"):
            del sys.modules[name]
    sys.path[:] = before[1]


@pytest.fixture(scope="module")
def digits(mnist: RealSample) -> LatentData:
    train = LabelledImages(mnist.images[:200], mnist.labels[:200])
    return LatentData("mnist", train, LabelledImages(mnist.images[200:300], mnist.labels[200:300]))


@pytest.fixture
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpolation, "NUM_PAIRS", 6)
    monkeypatch.setattr(arithmetic, "NUM_MOVED", 10)
    monkeypatch.setattr(arithmetic, "NUM_CLASS_MOVED", 2)
    monkeypatch.setattr(arithmetic, "NUM_ANALOGIES", 4)


@pytest.mark.usefixtures("_few")
def test_files_of_a_run(own: Path, mnist: RealSample, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(own / "digits.npz", images=mnist.images[:120])
    command = ["latent", "own_space:MySpace", "--data", "digits.npz", "--out", "out", "--quiet"]
    assert run([*command, "--only", "interpolation,traversal,prior"]) == EXIT_OK
    printed = capsys.readouterr().out
    assert "own_space:MySpace" in printed
    record = read_latent_record(own / "out" / "own_space-MySpace" / "record.json")
    assert (record.num_train, record.num_test, record.classifier) == (96, 24, None)
    assert {value.group for value in record.values} == {"interpolation", "traversal", "prior"}
    assert record.value("manifold_distance", "linear, any pair").n == 6
    for entry in record.pictures:
        assert (own / "out" / "own_space-MySpace" / f"{entry.name}.png").stat().st_size > 1000
    assert {entry.name for entry in record.pictures} >= {"interpolation", "traversal", "manifold"}
    rows = list(csv.DictReader((own / "out" / "table.csv").read_text().splitlines()))
    assert {row["space"] for row in rows} == {"own_space:MySpace", "pca", "pixels"}
    assert all((row["value"] == "") == (row["reason"] != "") for row in rows)
    page = (own / "out" / "report.html").read_text()
    assert page.count("data:image/png") >= 10
    assert "distance to the data" in page


def test_what_cannot_be_opened_is_refused_before_anything_is_measured(
    own: Path, mnist: RealSample, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(own / "digits.npz", images=mnist.images[:20])
    for spaces, said in (
        (["runs/none"], "there is no such path"),
        (["own_space:Other"], "has no 'Other'"),
        (["digits.npz"], "not a latent space; expected the folder of a run"),
    ):
        assert run(["latent", *spaces, "--data", "digits.npz", "--out", "out"]) == EXIT_USAGE
        assert said in capsys.readouterr().err
    assert run(["latent", "pca", "--data", "digits.npz", "--only", "maps"]) == EXIT_USAGE
    assert "unknown group of measures 'maps'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "returned", "said"),
    [
        ("decode", np.zeros((5, 28, 28)), "decode returns float64 of shape (5, 28, 28)"),
        ("decode", np.zeros((4, 28, 28, 1), np.uint8), "expected uint8 5,H,W,C"),
        ("encode", [1, 2], "encode returns a list, expected float32 N,D"),
        ("encode", np.zeros((5, 0), np.float32), "expected float32 5,D"),
        ("sample_latents", np.zeros((5, 2)), "returns float64 of shape (5, 2)"),
    ],
)
def test_results_of_a_wrong_shape_are_refused(method: str, returned: object, said: str) -> None:
    class Wrong:
        name = "wrong"

        def decode(self, codes: object) -> object:
            return returned

        encode = decode

        def sample_latents(self, n: int, seed: int) -> object:
            return returned

    space = checked(Wrong())
    images, codes = np.zeros((5, 28, 28, 1), np.uint8), np.zeros((5, 2), np.float32)
    arguments = {"decode": (codes,), "encode": (images,), "sample_latents": (5, 0)}[method]
    with pytest.raises(UsageError) as caught:
        getattr(space, method)(*arguments)
    assert said in str(caught.value)


def test_codes_that_are_not_finite_and_methods_that_fail(own: Path) -> None:
    class Broken:
        name = "broken"

        def encode(self, images: np.ndarray) -> np.ndarray:
            return np.where(np.arange(len(images))[:, None] < 2, np.nan, 1).astype(np.float32)

        def decode(self, codes: np.ndarray) -> np.ndarray:
            raise RuntimeError("no memory\nmore")

    with pytest.raises(Absent, match="2 of 5 codes are NaN or infinite"):
        checked(Broken()).encode(np.zeros((5, 8, 8, 1), np.uint8))
    with pytest.raises(UsageError, match="broken: decode fails: RuntimeError: no memory$"):
        checked(Broken()).decode(np.zeros((5, 2), np.float32))
    with pytest.raises(UsageError, match="neither decode"):
        checked(object(), "nothing")
    assert outside_space("own_space:MySpace").prior == "gaussian"


@pytest.mark.usefixtures("_few")
@pytest.mark.parametrize("kind", ["no-labels", "one-class", "tiny", "not-finite"])
def test_every_group_has_values_or_reasons_for_bad_input(
    kind: str, digits: LatentData, tmp_path: Path
) -> None:
    """No exception, no NaN: each measure is there once at least, with a value or a reason."""
    train, test = digits.train, digits.test
    space: object = PcaSpace(train.images, 5)
    if kind == "no-labels":
        train, test = LabelledImages(train.images), LabelledImages(test.images)
    if kind == "one-class":
        train = LabelledImages(train.images, np.zeros(200, int))
        test = LabelledImages(test.images, np.zeros(100, int))
    if kind == "tiny":
        train, test = train.first(4, 0), test.first(2, 0)
    if kind == "not-finite":

        class Broken(PixelSpace):
            def encode(self, images: np.ndarray) -> np.ndarray:
                return np.full((len(images), 3), np.nan, np.float32)

        space = Broken((28, 28, 1))
    data = LatentData("others" if kind != "tiny" else "mnist", train, test, extractor="hog")
    context = Context(checked(space), data)
    record = evaluate(space, data)
    assert {value.name for value in record.values} == set(MEASURES)
    assert len({value.key for value in record.values}) == len(record.values)
    if kind == "not-finite":
        assert any("NaN or infinite" in value.reason for value in record.values)
    draw_pictures(context, tmp_path, list(GROUPS))
    assert written_and_read(record, tmp_path / "record.json") == record


def written_and_read(record: LatentRecord, file: Path) -> LatentRecord:
    record.write(file)
    return read_latent_record(file)


def test_images_of_another_shape_are_refused(digits: LatentData) -> None:
    images = np.eye(200, dtype=np.uint8).reshape(200, 10, 20, 1)
    with pytest.raises(UsageError, match="makes images of 20x10 px with 1 channels"):
        bench.latent.evaluate(PcaSpace(images, 3), digits)


def test_a_value_is_a_number_or_a_reason() -> None:
    row = MEASURES["class_kept"]
    assert present(row, wilson(3, 4), n=4).low == wilson(3, 4).low
    assert present(row, float("inf"), n=4).reason == "the result is not a finite number (inf)"

    def none() -> None:
        raise Absent("no reason")

    assert attempt(row, none).reason == "no reason"  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a value or the reason"):
        LatentValue(group="prior", name="x", value=None, definition="d")


def test_the_best_of_a_row_follows_the_direction(digits: LatentData) -> None:
    records = [
        evaluate(PcaSpace(digits.train.images, dim), digits, only=["prior"]) for dim in (2, 20)
    ]
    rows = {row.name: row for row in table_rows(records)}
    assert rows["reconstruction_error"].best == {1}  # more dimensions, a smaller error
    assert rows["inversion_error"].best == set()
    with pytest.raises(UnknownNameError):
        records[0].value("nothing")


def test_a_file_that_is_no_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text("{}")
    with pytest.raises(InputError, match="not a record of a latent space: name"):
        read_latent_record(tmp_path / "record.json")


@pytest.mark.parametrize("row", MEASURES.values(), ids=lambda row: row.name)
def test_every_measure_says_what_it_is(row: LatentMeasure) -> None:
    assert row.title
    assert row.definition
    assert row.source
    assert row.group in GROUPS


def test_pca_against_scikit_learn(digits: LatentData) -> None:
    from sklearn.decomposition import PCA

    flat = digits.train.images.reshape(200, -1) / 255
    model = PCA(6, svd_solver="full").fit(flat)
    space = PcaSpace(digits.train.images, 6)
    np.testing.assert_allclose(
        np.abs(space.encode(digits.train.images)), np.abs(model.transform(flat)), atol=1e-4
    )
    latents = space.sample_latents(4000, 0)
    np.testing.assert_allclose(latents.std(axis=0), space.scale, rtol=0.05)
    made = space.decode_tensor(torch.from_numpy(latents[:50])).numpy().transpose(0, 2, 3, 1)
    assert np.abs(255 * made - space.decode(latents[:50])).max() <= 0.51
    pixels = PixelSpace((28, 28, 1))
    assert np.array_equal(pixels.decode(pixels.encode(digits.test.images)), digits.test.images)


def test_the_logistic_classifier_against_scikit_learn(digits: LatentData) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    f = rng.standard_normal((300, 5)) * [1, 2, 3, 4, 0] + 7
    for labels in (rng.integers(0, 3, 300) * 2, rng.integers(0, 2, 300)):
        found = LogisticClassifier.fit(f, labels).probabilities(f)
        model = LogisticRegression(max_iter=2000, tol=1e-3)
        expected = model.fit(StandardScaler().fit_transform(f), labels).predict_proba(
            StandardScaler().fit_transform(f)
        )
        np.testing.assert_allclose(found[:, model.classes_], expected, atol=1e-6)
        assert found.shape == (300, labels.max() + 1)
