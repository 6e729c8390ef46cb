"""`latentbench anomaly --data`: what it prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.__main__ import run
from bench.anomaly.benchmark.records_file import RECORDS
from bench.anomaly.detectors import DETECTORS
from bench.errors import EXIT_INVALID, EXIT_OK, EXIT_USAGE, UsageError
from tests.anomaly.conftest import use_digits
from tests.conftest import RealSample


@pytest.fixture(autouse=True)
def few_digits(mnist: RealSample, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Eight classes, so that the lecture's 5 and 7 are among them."""
    monkeypatch.chdir(tmp_path)
    use_digits(monkeypatch, mnist, below=8, num_train=800, num_test=200)


COMMAND = ["anomaly", "--data", "mnist", "--executor", "inline", "--device", "cpu", "-q"]


def test_a_table_records_and_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--detectors", "knn-pixels,mahalanobis-pixels", "--contamination", "lecture"]
    assert run([*COMMAND, *options, "--out", "results"]) == EXIT_OK
    shown = capsys.readouterr().out
    assert "mean AUC" in shown
    assert "knn-pixels" in shown
    page = Path("results/README.md").read_text()
    command = f"latentbench anomaly --data mnist {' '.join(options[:2])} --num-seeds 3"
    assert f"\n    {command} --contamination lecture\n" in page
    assert "Normal 5, 7 mixed in:" in page
    rows = [json.loads(line) for line in Path("results", RECORDS).read_text().splitlines()]
    assert {row["kind"] for row in rows} == {"class", "mean", "pair", "contamination", "run"}
    # again, as JSON: nothing is computed anew, and the records stay the same
    before = Path("results", RECORDS).read_bytes()
    assert run([*COMMAND, *options, "--out", "results", "--json"]) == EXIT_OK
    lines = capsys.readouterr().out.splitlines()
    shown_rows = sorted(map(json.loads, lines), key=str)
    assert shown_rows == sorted((row for row in rows if row["kind"] != "run"), key=str)
    assert Path("results", RECORDS).read_bytes() == before


def test_a_fit_that_fails_exits_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_settings: object) -> object:
        raise UsageError("not today")

    row = DETECTORS["pca"]
    monkeypatch.setitem(DETECTORS._rows, "pca", type(row)(**{**vars(row), "make": broken}))
    assert run([*COMMAND, "--detectors", "pca,knn-pixels"]) == EXIT_INVALID
    captured = capsys.readouterr()
    assert "mnist pca 0 seed 0 failed: not today" in captured.err
    assert "knn-pixels" in captured.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--detectors", "knn"], "unknown detector 'knn'"),
        (["--budget", "short"], "--budget short: expected published or cpu"),
        (["--contamination", "some"], "--contamination some: expected none, lecture"),
        (["--train", "x"], "remove --train: only for labelled images"),
        (
            ["--labels", "x", "--set", "k=2", "--resize", "8x8", "--seed", "1"],
            "remove --labels, --set, --resize, --seed: only",
        ),
        (["--num-seeds", "0"], "--num-seeds 0: expected a number of 1 to 1000"),
        (["--num-seeds", "shallow=x"], "--num-seeds shallow=x: expected a number"),
        (["--num-seeds", "network=2"], "--num-seeds network=2: no number for knn-pixels"),
        (["--executor", "cloud"], "unknown executor 'cloud'"),
    ],
)
def test_impossible_requests_are_refused(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run([*COMMAND, *options]) == EXIT_USAGE
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*/README.md"))


def test_one_of_the_two_modes_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["anomaly", "--detectors", "pca"]) == EXIT_USAGE
    assert "or a data set with --data" in capsys.readouterr().err
