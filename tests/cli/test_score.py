"""`latentbench score`: what it prints, what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench.__main__ import run
from bench.errors import (
    EXIT_INVALID,
    EXIT_NOTHING_FOUND,
    EXIT_OK,
    EXIT_USAGE,
)
from bench.extractors import EXTRACTORS
from bench.metrics import METRICS
from bench.records.score_record import read_records
from bench.tables.frame import table
from bench.tables.score_table import print_side_by_side
from tests.conftest import RealSample, write_pngs
from tests.records.test_score_record import chosen, value

FAST = "fid,precision_k3"


def test_score_prints_a_table_and_keeps_a_record(
    digits_folder: Path, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["score", str(digits_folder), "--reference", "mnist", "--out", "results"]) == EXIT_OK
    out = capsys.readouterr().out
    for name in METRICS:
        assert name in out
    for heading in ("value", "perfect", "better", "extractor", "real", "yours"):
        assert heading in out
    assert "60,000" in out
    assert "300 held-out real images" in out
    assert "signature: reference=mnist:" in out
    (record,) = read_records(workdir / "results" / "records.jsonl")
    (single,) = [p for p in (workdir / "results").iterdir() if p.suffix == ".json"]
    assert read_records(single) == [record]
    assert f"samples-{record.submission.pixel_digest[:8]}-" in single.name


def test_json_is_all_that_goes_to_stdout(
    digits_folder: Path, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workdir / "empty").mkdir()
    arguments = ["score", "empty", str(digits_folder), "--json", "--metrics", FAST]
    assert run(arguments) == EXIT_NOTHING_FOUND
    captured = capsys.readouterr()
    failed, scored = (json.loads(line) for line in captured.out.splitlines())
    assert failed["exit_code"] == EXIT_NOTHING_FOUND
    assert [value["metric"] for value in scored["values"]] == FAST.split(",")
    assert "1 scored, 1 failed" in captured.err


def test_a_bad_folder_among_good_ones(
    digits_folder: Path, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workdir / "bad").mkdir()
    (workdir / "bad" / "[red]x.png").write_bytes(b"junk")
    code = run(["score", "bad", "missing", str(digits_folder), "--metrics", FAST])
    assert code == EXIT_INVALID
    captured = capsys.readouterr()
    assert "[red]x.png" in captured.err
    assert "fix:" in captured.err
    assert "missing" in captured.err
    assert "precision_k3" in captured.out
    assert len(read_records(workdir / "latentbench-results" / "records.jsonl")) == 1


def test_an_output_place_that_cannot_be_written(
    digits_folder: Path, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workdir / "file").write_text("in the way")
    arguments = ["score", str(digits_folder), "--metrics", "fid", "--out", "file"]
    assert run(arguments) == EXIT_USAGE
    assert "file: records cannot be written there" in capsys.readouterr().err


def test_other_protocols_and_other_teams_are_other_files(
    mnist: RealSample, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for team in ("team-a", "team-b"):
        write_pngs(mnist.images[:20], workdir / team / "samples")
    teams = ["team-a/samples", "team-b/samples"]
    assert run(["score", *teams, "--metrics", "fid", "--out", "r"]) == EXIT_OK
    assert run(["score", teams[0], "--metrics", "recall_k3", "--out", "r"]) == EXIT_OK
    assert run(["score", teams[0], "--metrics", "fid", "--seed", "7", "--out", "r"]) == EXIT_OK
    names = sorted(path.name for path in (workdir / "r").iterdir() if path.suffix == ".json")
    assert [name[:14] for name in names] == ["team-a_samples"] * 3 + ["team-b_samples"]
    records = read_records(workdir / "r" / "records.jsonl")
    assert len(table(records[:2], wide=True)) == 2


def test_a_write_that_fails_is_told_and_the_next_submission_is_tried(
    digits_folder: Path,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench.scoring.results_folder.append_record", full)
    arguments = ["score", str(digits_folder), str(digits_folder), "--metrics", "fid", "--json"]
    assert run(arguments) == EXIT_USAGE
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert captured.err.count("No space left on device") == 2


def test_what_was_done_to_the_images_is_said(
    mnist: RealSample, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pngs(np.pad(mnist.images[:30], ((0, 0), (2, 2), (2, 2), (0, 0))), workdir / "large")
    command = ["score", "large", "--metrics", "fid,precision_k3"]
    assert run(command) == EXIT_INVALID
    assert "--resize 28" in capsys.readouterr().err
    assert run([*command, "--resize", "28", "--subset", "20"]) == EXIT_OK
    captured = capsys.readouterr()
    assert "images of other sizes were resized to 28x28 px" in captured.out
    assert "metrics that show 20 images use a fixed random subset of 30" in captured.out
    assert "perfect: the score of 20 held-out real images or 30 held-out real" in captured.out
    assert "|n=30|subset=20|resize=28x28|" in captured.out
    assert "resized (30)" in captured.err
    (record,) = read_records(workdir / "latentbench-results" / "records.jsonl")
    assert (record.subset, record.submission.resize) == (20, "28x28")
    assert [entry.n_fake for entry in record.values] == [30, 20]


@pytest.mark.parametrize("width", [80, 140])
def test_protocols_side_by_side_fit_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    """Names and numbers in full, lines no wider than the terminal."""
    records = [
        chosen(
            extractor=chosen().extractor.model_copy(update={"settings": {"protocol": protocol}}),
            values=(value("inception_score", 1.25 + n), value("kid_poly3", -0.1053e-5)),
        )
        for n, protocol in enumerate(EXTRACTORS["inception"].protocols)
    ]
    monkeypatch.setattr("bench.tables.score_table._console", lambda **_: Console(width=width))
    print_side_by_side(records)
    lines = capsys.readouterr().out.splitlines()
    text = "\n".join(lines)
    for word in (*EXTRACTORS["inception"].protocols, "inception_score", "-1.053e-06", "3.400"):
        assert word in text  # 4.25 / 1.25 = 3.4
    assert max(len(line) for line in lines if not line.startswith("signature")) <= width
