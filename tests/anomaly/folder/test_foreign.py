"""Detectors of other packages on a labelled folder: whatever they do, the others are judged; and
what is left behind where nothing can be.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.__main__ import run
from bench.anomaly import evaluate_folder
from bench.anomaly.detectors import DETECTORS, DetectorRow, DetectorSettings
from bench.errors import (
    EXIT_INTERNAL,
    EXIT_INVALID,
    EXIT_OK,
    EXIT_USAGE,
    InputError,
    LatentbenchError,
    UsageError,
)
from tests.anomaly.conftest import write_threes
from tests.conftest import RealSample, write_pngs

Images = np.ndarray[Any, np.dtype[np.uint8]]


@pytest.fixture(scope="module")
def place(mnist: RealSample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 threes to learn from; 8 other threes and 9 other digits."""
    return write_threes(
        tmp_path_factory.mktemp("place"), mnist, num_train=20, num_normal=8, num_anomalous=9
    )


class Own:
    """The mean grey level, and one thing that goes wrong."""

    def __init__(self, settings: DetectorSettings) -> None:
        pass

    def fit(self, normal: Images) -> None:
        pass

    def scores(self, images: Images) -> Any:
        return images.mean(axis=(1, 2, 3))


class FitRaises(Own):
    def fit(self, normal: Images) -> None:
        raise np.linalg.LinAlgError("SVD did not\nconverge")


class ScoresRaise(Own):
    def scores(self, images: Images) -> Any:
        raise MemoryError


class ScoresAList(Own):
    def scores(self, images: Images) -> Any:
        return [0.0] * len(images)


class ScoresTooFew(Own):
    def scores(self, images: Images) -> Any:
        return np.zeros(len(images) - 1)


class SettledRaises(Own):
    def settled(self) -> dict[str, float | int | str]:
        raise KeyError("bandwidth")


class SettledNonsense(Own):
    def settled(self) -> dict[str, Any]:
        return {"network": object()}


class RestoresNothing(Own):
    def reconstructions(self, images: Images) -> Images:
        raise RuntimeError("out of memory")


FAILING: dict[str, tuple[type[Own], str]] = {
    "own-fit": (FitRaises, "LinAlgError: SVD did not converge (test_foreign.py:"),
    "own-scores": (ScoresRaise, "MemoryError (test_foreign.py:"),
    "own-list": (ScoresAList, "detector 'own-list' gave scores of type list"),
    "own-few": (ScoresTooFew, "detector 'own-few' gave scores of shape (16,); expected 17"),
    "own-settled": (SettledRaises, "KeyError: 'bandwidth'"),
    "own-nonsense": (SettledNonsense, "ValidationError"),
    "own-restores": (RestoresNothing, "RuntimeError: out of memory"),
}


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (kind, _) in {**FAILING, "own": (Own, "")}.items():
        row = DetectorRow(name=name, title="t", source="s", make=kind)
        monkeypatch.setitem(DETECTORS._rows, name, row)


@pytest.fixture
def command(place: Path, tmp_path: Path) -> list[str]:
    paths = ["--train", str(place / "train"), "--test", str(place / "test")]
    return ["anomaly", *paths, "-q", "--out", str(tmp_path / "out"), "--detectors"]


def test_the_others_are_judged(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, ",".join(["own", *FAILING, "pca"])]) == EXIT_INVALID
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert [entry["name"] for entry in record["detectors"]] == ["own", "pca"]
    reasons = {one["name"]: one["reason"] for one in record["failed"]}
    assert set(reasons) == set(FAILING)
    for name, (_, reason) in FAILING.items():
        assert reasons[name].startswith(reason), reasons[name]
        assert f"latentbench: {name} failed: {reasons[name]}\n" in shown.err
    folders = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert folders == {"own", "pca"}


@pytest.mark.parametrize("name", list(FAILING))
def test_none_is_judged(
    name: str, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first failure is what the command exits with, and nothing is left behind."""
    assert run([*command, name]) == EXIT_INTERNAL
    told = capsys.readouterr().err
    assert told.startswith("latentbench: detector ")
    assert FAILING[name][1] in told
    assert "Traceback" not in told
    assert not (tmp_path / "out").exists()


def test_an_interrupt_is_no_failure(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_self: Own, _normal: Images) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Own, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate_folder(place / "train", place / "test", detectors="own,pca")


def test_options_that_nobody_reads(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "own", "--set", "k=3", "--set", "power=2"]) == EXIT_USAGE
    told = capsys.readouterr().err
    assert "detector 'own' takes no options, got k, power; leave them out" in told
    assert run([*command, "own"]) == EXIT_OK


def test_options_in_python(place: Path) -> None:
    paths = place / "train", place / "test"
    for value in (None, [3], "x"):
        options: Any = {"k": value}
        with pytest.raises(UsageError, match="knn-pixels: k .*: expected a whole number"):
            evaluate_folder(*paths, detectors="knn-pixels", options=options)


def test_a_group_against_few_images(
    place: Path,
    mnist: RealSample,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """3 training images: the 5th nearest needs five; by name it fails, a group goes without."""
    write_pngs(mnist.images[:3], tmp_path / "few")
    command = ["anomaly", "--train", str(tmp_path / "few"), "--test", str(place / "test"), "-q"]
    command += ["--out", str(tmp_path / "out"), "--detectors"]
    for name in FAILING:
        monkeypatch.delitem(DETECTORS._rows, name)
    assert run([*command, "shallow"]) == EXIT_OK
    told = capsys.readouterr().err
    for name in ("knn-pixels", "knn-hog", "knn-features"):
        assert f"{name} omitted: 3 normal images, and it needs 5 or more" in told
    assert "failed" not in told
    assert run([*command, "pca,knn-pixels"]) == EXIT_INVALID
    assert "knn-pixels failed: knn-pixels needs 5 or more" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["out", "a/b/out"])
def test_nothing_is_left_where_nothing_could_be_done(
    out: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails after the folder was made: it is removed again, with those above it."""
    train, test = place / "train", place / "test"
    (tmp_path / "labels.csv").write_text("nobody.png,1\n")
    failing: list[tuple[type[Exception], Callable[[], object]]] = [
        (LatentbenchError, lambda: evaluate_folder("absent", test, detectors="pca", out=out)),
        (
            InputError,
            lambda: evaluate_folder(
                train, test / "normal", labels=tmp_path / "labels.csv", detectors="pca", out=out
            ),
        ),
        (
            UsageError,
            lambda: evaluate_folder(train, test, detectors="pca", options={"variance": 3}, out=out),
        ),
        (
            UsageError,
            lambda: evaluate_folder(train, test, detectors="pca", resize="huge", out=out),
        ),
    ]
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for kind, call in failing:
        with pytest.raises(kind):
            call()
        assert list((tmp_path / "work").iterdir()) == []
    Path(out).mkdir(parents=True)  # one that was there stays
    with pytest.raises(kind):
        call()
    assert Path(out).is_dir()
