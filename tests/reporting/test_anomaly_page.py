"""The page of a run of anomaly detectors: one file, from the files of the run."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

import bench
from bench.__main__ import run
from bench.anomaly import AnomalyRecord
from bench.errors import EXIT_OK, EXIT_USAGE, InputError, UsageError
from bench.reporting.sources import anomaly_record
from tests.anomaly.conftest import write_threes
from tests.conftest import RealSample
from tests.reporting.test_page import Page

OPTIONS = ["--detectors", "pca,knn-pixels", "--resize", "20", "--seed", "4"]


@pytest.fixture(scope="module")
def place(mnist: RealSample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two detectors in `out`: 60 threes to learn from, 25 and 30 others to judge."""
    place = write_threes(
        tmp_path_factory.mktemp("page"), mnist, num_train=60, num_normal=25, num_anomalous=30
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        command = ["anomaly", "--train", "train", "--test", "test", *OPTIONS]
        assert run([*command, "--out", "out", "-q"]) == EXIT_OK
    return place


def record_of(folder: Path) -> AnomalyRecord:
    return AnomalyRecord.model_validate_json((folder / "record.json").read_bytes())


def test_the_page_has_results_pictures_and_no_requests(place: Path) -> None:
    page = Page((place / "out" / "report.html").read_text())
    record = record_of(place / "out")
    best = max(record.detectors, key=lambda entry: entry.auc)
    assert f"{best.name} separates best" in page.text
    assert f"{100 * best.auc:.1f} % of all pairs" in page.text
    assert f"{30 / 55:.3f} for random scores" in page.text  # what AP must beat
    images = page.all("img")
    assert len(images) == 1 + 2 * 2  # ROC curves; histogram and images of each detector
    assert all(str(image["src"]).startswith("data:image/") for image in images)
    assert all(image["alt"] for image in images)
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv"))
    assert str(policy).startswith("default-src 'none'")
    for entry in record.detectors:
        assert f"{100 * entry.fpr_at_95_tpr:.1f} %" in page.text


def test_the_command_gives_the_same_numbers(
    place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(place)
    page = Page((place / "out" / "report.html").read_text())
    start = page.text.index("latentbench anomaly --train")
    words = shlex.split(page.text[start : page.text.index(" Made by latentbench")])
    assert {"--resize", "20", "--seed", "4", "--detectors", "pca,knn-pixels"} <= set(words)
    assert run([*words[1:], "--out", str(tmp_path / "again"), "-q"]) == EXIT_OK
    first, again = record_of(place / "out"), record_of(tmp_path / "again")
    assert [entry.auc for entry in again.detectors] == [entry.auc for entry in first.detectors]
    assert again.options == first.options


def test_report_finds_the_run_from_python_and_the_command_line(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (place / "out" / "report.html").read_bytes()
    for source in (place / "out", place / "out" / "record.json"):
        assert bench.report(source, tmp_path / "a.html").read_bytes() == page
        assert run(["report", str(source), "--out", str(tmp_path / "b.html")]) == EXIT_OK
        assert (tmp_path / "b.html").read_bytes() == page
    with pytest.raises(UsageError, match="is reported as html, not csv"):
        bench.report(place / "out", tmp_path / "a.csv")
    capsys.readouterr()
    both = ["report", str(place / "out"), str(tmp_path), "--out", str(tmp_path / "c.html")]
    assert run(both) == EXIT_USAGE
    assert "has a page of its own" in capsys.readouterr().err


def changed(place: Path, out: Path, **fields: object) -> Path:
    record = json.loads((place / "out" / "record.json").read_text())
    out.mkdir()
    (out / "record.json").write_text(json.dumps({**record, **fields}))
    return out


def test_what_means_little_is_said(place: Path, tmp_path: Path) -> None:
    detectors = json.loads((place / "out" / "record.json").read_text())["detectors"]
    detectors[0] |= {"auc": 0.31, "labels": "test", "interval": None}
    failed = [{"name": "kde", "reason": "<b>too few</b> images"}]
    folder = changed(place, tmp_path / "x", detectors=detectors, failed=failed)
    page = Page(bench.report(folder, tmp_path / "a.html").read_text())
    assert f"{detectors[0]['name']} is no better than chance (AUC 0.310)." in page.text
    assert "normal and anomalous may be swapped" in page.text
    assert "it is an oracle" in page.text
    assert "kde failed: <b>too few</b> images." in page.text  # as text
    assert not page.all("img")  # the pictures are elsewhere


def test_records_from_outside(place: Path, tmp_path: Path) -> None:
    detectors = json.loads((place / "out" / "record.json").read_text())["detectors"]
    detectors[0]["name"] = "../out/pca"
    folder = changed(place, tmp_path / "x", detectors=detectors, options=[])
    page = Page(bench.report(folder, tmp_path / "a.html").read_text())
    assert not page.all("img")  # nothing outside the folder is read
    assert "The record is of an earlier version" in page.text
    folder = changed(place, tmp_path / "y", seed="many")
    with pytest.raises(InputError, match="y/record.json: not a record of detectors: seed"):
        bench.report(folder, tmp_path / "a.html")
    assert anomaly_record(tmp_path) is None
    (tmp_path / "list.json").write_text("[1]")
    assert anomaly_record(tmp_path / "list.json") is None
