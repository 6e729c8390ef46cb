"""The numbers of a course: by hand, and against the tools' arithmetic with weights made here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from bench.__main__ import run
from bench.errors import EXIT_INVALID, EXIT_NOTHING_FOUND, EXIT_OK, EXIT_USAGE, InputError
from bench.extractors import EXTRACTORS, extractor_row
from bench.extractors.base import ExtractorChoice
from bench.extractors.inception import random_state
from bench.extractors.weights_files import HostedWeights
from bench.scoring.settings import ScoreSettings
from bench.studies.course import METRICS, CourseValue, course_values, precision_recall
from tests.conftest import RealSample
from tests.extractors.vgg16_weights import narrow, save_weights

NUM = 8


def test_a_point_on_a_ball_is_outside_for_the_tool() -> None:
    real = np.array([[0], [1], [2], [3]], np.float32)  # radii 3, 2, 2, 3 for k = 3
    fake = np.array([[-3], [-4], [6], [7]], np.float32)  # 3 and 4 from the ends
    assert precision_recall(real, fake) == (0.0, 1.0)
    assert precision_recall(real, fake, strict=False) == (0.5, 1.0)
    with pytest.raises(InputError, match="3 images: precision and recall need 4"):
        precision_recall(real, fake[:3])


@pytest.mark.parametrize("strict", [True, False])
def test_precision_and_recall_are_those_of_the_definition(strict: bool) -> None:
    rng = np.random.default_rng(0)
    real = rng.integers(0, 4, (1_200, 5)).astype(np.float32)  # many ties, more rows than a block
    fake = rng.integers(0, 5, (1_100, 5)).astype(np.float32)
    inside = np.less if strict else np.less_equal
    radii = [np.sort(cdist(x, x), axis=1)[:, 3] for x in (real, fake)]
    between = cdist(real, fake)
    precision = inside(between, radii[0][:, None]).any(0).mean()
    recall = inside(between, radii[1]).any(1).mean()
    assert precision_recall(real, fake, strict=strict) == pytest.approx((precision, recall))
    assert 0.02 < precision < 0.98


@pytest.fixture
def weights(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with weights of both networks."""
    narrow(monkeypatch)
    folder = tmp_path_factory.mktemp("weights")
    save_weights(folder)
    hosted = EXTRACTORS["inception"].weights
    assert isinstance(hosted, HostedWeights)
    torch.save(random_state(), folder / hosted.file_name)
    return folder


@pytest.fixture
def sides(mnist: RealSample, tmp_path: Path) -> tuple[Path, Path]:
    """Files of real and of other real images."""
    real, fake = tmp_path / "real.npy", tmp_path / "fake.npy"
    np.save(real, mnist.images[:NUM])
    np.save(fake, mnist.images[NUM : 2 * NUM])
    return real, fake


def features(images: np.ndarray, name: str, weights: Path, **choice: str) -> np.ndarray:
    chosen = ExtractorChoice(weights=weights, unverified_weights=True, **choice)
    return extractor_row(name).resolve(chosen).load("cpu")(images).values.astype(np.float64)


def frechet(real: np.ndarray, fake: np.ndarray) -> float:
    """With fewer images than features: the trace of the root is a nuclear norm of N,N."""
    sides = [(x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (real, fake)]
    root = np.linalg.svd(sides[0] @ sides[1].T, compute_uv=False).sum()
    gap = real.mean(0) - fake.mean(0)
    return float(gap @ gap + sum((x**2).sum() for x in sides) - 2 * root)


def test_every_number_is_computed_as_the_tool_does(
    sides: tuple[Path, Path], weights: Path, mnist: RealSample
) -> None:
    real, fake = mnist.images[:NUM], mnist.images[NUM : 2 * NUM]
    settings = ScoreSettings(reference=sides[0], weights=weights, unverified_weights=True)
    found = course_values(sides[1], settings, explain=True)
    own: dict[str, list[CourseValue]] = {
        metric: [one for one in found if one.metric == metric and not one.changed]
        for metric in METRICS
    }
    assert {len(values) for values in own.values()} == {2}  # the course's and ours
    fid = frechet(
        *(features(x, "inception", weights, protocol="pytorch-fid") for x in (real, fake))
    )
    assert own["fid"][0].value == pytest.approx(fid, rel=1e-3)
    deep = [
        features(x, "vgg16", weights, protocol="improved-precision-recall", layer="fc2")
        for x in (real, fake)
    ]
    pair = precision_recall(deep[0].astype(np.float32), deep[1].astype(np.float32))
    assert (own["precision"][0].value, own["recall"][0].value) == pair
    changed = {(one.metric, one.changed): one for one in found if one.changed}
    assert len(changed) == 15
    for one in changed.values():
        assert one.difference == pytest.approx(one.value - own[one.metric][0].value)
    assert changed["fid", "the first 5 images"].num_images == 5
    assert changed["recall", "the first 5 images"].num_images == 5
    clean = frechet(
        *(features(x, "inception", weights, protocol="clean-fid") for x in (real, fake))
    )
    assert changed["fid", "resized as clean-fid"].value == pytest.approx(clean, rel=1e-3)
    assert changed["fid", "saved as JPEG, quality 75"].difference != 0
    digits = [EXTRACTORS["digits"].resolve().load("cpu")(x).values for x in (real, fake)]
    assert changed["precision", "extractor digits"].value == precision_recall(*digits)[0]


def test_the_command_prints_and_writes_both_tables(
    sides: tuple[Path, Path],
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = [
        CourseValue("fid", "pytorch-fid", 37.25, 10_000),
        CourseValue("fid", "pytorch-fid", 38.5, 10_000, "saved as JPEG, quality 75", 1.25),
    ]
    monkeypatch.setattr("bench.cli.course.course_values", lambda *_, **__: values)
    arguments = ["score", str(sides[1]), "--reference", str(sides[0]), "--protocol", "course"]
    assert run([*arguments, "--explain", "--out", str(tmp_path / "out")]) == EXIT_OK
    out = capsys.readouterr().out
    assert "Why home and platform differ" in out
    assert "+1.25" in out
    assert "37.25" in out
    (file,) = (tmp_path / "out").iterdir()
    document = json.loads(file.read_text())
    assert [one["value"] for one in document["values"]] == [37.25, 38.5]
    assert file.name.endswith("fake.npy-course.json")


def test_what_cannot_be_computed_is_refused(
    sides: tuple[Path, Path],
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    real, fake = map(str, sides)
    assert run(["score", fake, "--explain"]) == EXIT_USAGE
    assert "--explain belongs to --protocol course" in capsys.readouterr().err
    assert run(["score", fake, "--protocol", "course"]) == EXIT_USAGE
    assert "needs the real images, and 'mnist' holds their features" in capsys.readouterr().err
    file = next(weights.iterdir())
    arguments = ["--reference", real, "--protocol", "course", "--weights"]
    assert run(["score", fake, *arguments, str(file)]) == EXIT_USAGE
    assert "weights of two networks" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "0.png").write_bytes(b"not a png")
    arguments += [str(weights), "--unverified-weights"]
    assert run(["score", "empty", *arguments]) == EXIT_NOTHING_FOUND
    np.save(tmp_path / "few.npy", np.zeros((4, 28, 28), np.uint8))
    assert run(["score", "few.npy", "empty", "bad", *arguments]) == EXIT_INVALID
    shown = capsys.readouterr().err
    assert "4 images are too few for these numbers: give at least 5" in shown
    assert "empty holds no image file" in shown  # what follows is scored all the same
    assert "bad: not a valid submission" in shown
