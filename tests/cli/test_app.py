"""The command line: what it prints, what it leaves on disk, what it exits with."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from bench.__main__ import run
from bench.errors import (
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
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
PRECISIONS = ", ".join(sorted(EXTRACTORS["inception"].precisions))


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_score_prints_a_table_and_keeps_a_record(
    digits_folder: Path, wide: Path, capsys: pytest.CaptureFixture[str]
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
    (record,) = read_records(wide / "results" / "records.jsonl")
    (single,) = [p for p in (wide / "results").iterdir() if p.suffix == ".json"]
    assert read_records(single) == [record]
    assert f"samples-{record.submission.pixel_digest[:8]}-" in single.name


def test_json_is_all_that_goes_to_stdout(
    digits_folder: Path, wide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (wide / "empty").mkdir()
    arguments = ["score", "empty", str(digits_folder), "--json", "--metrics", FAST]
    assert run(arguments) == EXIT_NOTHING_FOUND
    captured = capsys.readouterr()
    failed, scored = (json.loads(line) for line in captured.out.splitlines())
    assert failed["exit_code"] == EXIT_NOTHING_FOUND
    assert [value["metric"] for value in scored["values"]] == FAST.split(",")
    assert "1 scored, 1 failed" in captured.err


def test_a_bad_folder_among_good_ones(
    digits_folder: Path, wide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (wide / "bad").mkdir()
    (wide / "bad" / "[red]x.png").write_bytes(b"junk")
    code = run(["score", "bad", "missing", str(digits_folder), "--metrics", FAST])
    assert code == EXIT_INVALID
    captured = capsys.readouterr()
    assert "[red]x.png" in captured.err
    assert "fix:" in captured.err
    assert "missing" in captured.err
    assert "precision_k3" in captured.out
    assert len(read_records(wide / "latentbench-results" / "records.jsonl")) == 1


def test_audit(digits_folder: Path, wide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", str(digits_folder)]) == EXIT_OK
    assert "valid, 300 files, 300 images of 28x28 px, grey" in capsys.readouterr().out
    assert run(["audit", str(digits_folder), "--spec", "mnist-10k"]) == EXIT_INVALID
    captured = capsys.readouterr()
    assert "wrong-count" in captured.err
    assert "fix:" in captured.err
    assert run(["audit", str(digits_folder), "--spec", "mnist-10k", "--json"]) == EXIT_INVALID
    report = json.loads(capsys.readouterr().out)
    assert report["valid"] is False
    assert report["findings"][0]["code"] == "wrong-count"


def test_audit_repairs(mnist: RealSample, wide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pngs(np.repeat(mnist.images[:5], 3, axis=3), wide / "rgb")
    (wide / "rgb" / "torn.png").write_bytes((wide / "rgb" / "00000.png").read_bytes()[:50])
    assert run(["audit", "rgb", "--repair", "fixed"]) == EXIT_INVALID
    err = capsys.readouterr().err
    assert "5 images written to fixed" in err
    assert "torn.png" in err
    assert run(["audit", "fixed"]) == EXIT_OK


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["score", "x", "--nonsense"], EXIT_USAGE, "--nonsense"),
        (["nonsense"], EXIT_USAGE, "nonsense"),
        (["score"], EXIT_USAGE, "submissions"),
        (["score", "x", "--limit", "0"], EXIT_USAGE, "--limit"),
        (["score", "x", "--metrics", "fdi"], EXIT_USAGE, "Did you mean 'fid'"),
        (["score", "x", "--reference", "mnits"], EXIT_USAGE, "Did you mean 'mnist'"),
        (["score", "missing"], EXIT_USAGE, "missing"),
        (["audit", "missing"], EXIT_USAGE, "missing"),
        (["audit", "empty"], EXIT_NOTHING_FOUND, "empty"),
        (["reference", "build", "mnist", "--out", "x"], EXIT_USAGE, "--data-root"),
        (["reference", "verify", "mnits"], EXIT_USAGE, "Did you mean 'mnist'"),
    ],
)
def test_exit_codes(
    wide: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    (wide / "empty").mkdir()
    assert run(arguments) == code
    captured = capsys.readouterr()
    assert words in captured.err
    assert "Traceback" not in captured.err


def test_an_output_place_that_cannot_be_written(
    digits_folder: Path, wide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (wide / "file").write_text("in the way")
    arguments = ["score", str(digits_folder), "--metrics", "fid", "--out", "file"]
    assert run(arguments) == EXIT_USAGE
    assert "file: records cannot be written there" in capsys.readouterr().err


def test_internal_errors_are_shown_whole(
    digits_folder: Path,
    wide: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("bench.scoring.scorer.Scorer.attempt", fail)
    assert run(["score", str(digits_folder)]) == EXIT_INTERNAL
    err = capsys.readouterr().err
    assert "ZeroDivisionError: ours" in err
    assert "internal error" in err


def test_an_interrupt_exits_with_two(
    digits_folder: Path, wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.scoring.scorer.Scorer.attempt", interrupt)
    assert run(["score", str(digits_folder), "--out", "results"]) == EXIT_INTERRUPTED
    assert list((wide / "results").iterdir()) == []


def test_reference_verbs(
    mnist: RealSample,
    wide: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_pngs(mnist.images[:30], wide / "train")
    write_pngs(mnist.images[30:50], wide / "test")
    build = ["reference", "build", "own", "--train", "train", "--test", "test", "--out", "b"]
    build += ["--extractor", "digits"]
    assert run(build) == EXIT_OK
    assert run(["reference", "list"]) == EXIT_OK
    listed = capsys.readouterr().out
    assert "mnist" in listed
    assert "fashion" in listed
    assert run(["reference", "verify"]) == EXIT_OK
    assert capsys.readouterr().out.count("ok ") == 2
    assert run(["reference", "verify", "b/own-digits.json"]) == EXIT_OK
    (wide / "b" / "own-digits.npz").write_bytes(b"damage")
    assert run(["reference", "verify", "b/own-digits.json"]) == EXIT_USAGE
    captured = capsys.readouterr()
    assert "FAILED" in captured.out
    assert "1 of 1 references are unfit" in captured.err


def test_cache_verb(digits_folder: Path, wide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["score", str(digits_folder), "--metrics", FAST]) == EXIT_OK
    capsys.readouterr()
    assert run(["cache"]) == EXIT_OK
    out = capsys.readouterr().out
    assert "location: " in out
    assert "features: 1 entries" in out
    assert "scores: 1 entries" in out
    assert run(["score", str(digits_folder), "--metrics", FAST]) == EXIT_OK
    assert "read from the cache" in capsys.readouterr().out
    assert run(["cache", "--clear"]) == EXIT_OK
    assert "deleted: " in capsys.readouterr().out
    assert run(["score", str(digits_folder), "--metrics", FAST, "--no-cache"]) == EXIT_OK
    assert run(["cache"]) == EXIT_OK
    assert "total: 0.0 MB" in capsys.readouterr().out


def test_lists(wide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["metrics"]) == EXIT_OK
    out = capsys.readouterr().out
    assert all(name in out for name in METRICS)
    assert run(["extractors"]) == EXIT_OK
    assert "fashion" in capsys.readouterr().out
    assert run(["--version"]) == EXIT_OK
    assert capsys.readouterr().out.startswith("latentbench ")


def test_a_verb_that_cannot_be_loaded_is_reported_and_harms_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wide: Path
) -> None:
    from importlib.metadata import EntryPoint

    broken = EntryPoint("broken", "nowhere.at.all:verb", "latentbench.verbs")
    monkeypatch.setattr("bench.cli.verbs.metadata.entry_points", lambda group: [broken])
    assert run(["cache"]) == EXIT_OK
    assert not capsys.readouterr().err
    assert run(["--help"]) == EXIT_OK
    printed = capsys.readouterr()
    assert "verb 'broken' cannot be loaded: No module named 'nowhere'" in printed.err
    assert "Score submissions against a reference." in printed.out
    assert run(["broken"]) == EXIT_USAGE
    assert "verb 'broken' cannot be loaded: No module named 'nowhere'" in capsys.readouterr().err


def test_a_verb_whose_name_is_taken_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wide: Path
) -> None:
    from importlib.metadata import EntryPoint

    usurper = EntryPoint("score", "baselines.cli.demo:demo", "latentbench.verbs")
    monkeypatch.setattr("bench.cli.verbs.metadata.entry_points", lambda group: [usurper])
    assert run(["score", "missing"]) == EXIT_USAGE
    assert "missing" in capsys.readouterr().err
    assert run(["--help"]) == EXIT_OK
    printed = capsys.readouterr()
    assert "verb 'score' of baselines.cli.demo:demo is taken" in printed.err
    assert "Generate digits" not in printed.out


def test_module_and_pipe(digits_folder: Path, tmp_path: Path) -> None:
    """`python -m bench` in a process of its own, its reader gone before it prints."""
    command = [sys.executable, "-m", "bench", "metrics"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    error = process.stderr.read().decode()
    process.stderr.close()
    process.wait()
    assert "Traceback" not in error


def test_a_reader_that_goes_away_loses_no_record(digits_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "score", str(digits_folder), str(digits_folder)]
    command += ["--metrics", FAST, "--json", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, error = process.communicate()
    assert process.returncode == EXIT_OK, error.decode()
    assert len(read_records(tmp_path / "records.jsonl")) == 2


def test_other_protocols_and_other_teams_are_other_files(
    mnist: RealSample, wide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for team in ("team-a", "team-b"):
        write_pngs(mnist.images[:20], wide / team / "samples")
    teams = ["team-a/samples", "team-b/samples"]
    assert run(["score", *teams, "--metrics", "fid", "--out", "r"]) == EXIT_OK
    assert run(["score", teams[0], "--metrics", "recall_k3", "--out", "r"]) == EXIT_OK
    assert run(["score", teams[0], "--metrics", "fid", "--seed", "7", "--out", "r"]) == EXIT_OK
    names = sorted(path.name for path in (wide / "r").iterdir() if path.suffix == ".json")
    assert [name[:14] for name in names] == ["team-a_samples"] * 3 + ["team-b_samples"]
    records = read_records(wide / "r" / "records.jsonl")
    assert len(table(records[:2], wide=True)) == 2


@pytest.mark.parametrize(
    "arguments",
    [["score", ""], ["score", "x", "--metrics", ""], ["score", "x", "--device", "meta"]],
)
def test_empty_and_impossible_arguments(
    wide: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run(arguments) == EXIT_USAGE
    assert "Traceback" not in capsys.readouterr().err


def test_a_terminal_without_the_characters(digits_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "score", str(digits_folder), "--metrics", "fid"]
    result = subprocess.run(
        [*command, "--out", str(tmp_path)],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert result.returncode == EXIT_OK, result.stderr.decode()


def test_a_closed_standard_input_blames_nobody(digits_folder: Path) -> None:
    command = f"exec {sys.executable} -m bench audit {digits_folder} <&-"
    result = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=False)
    assert result.returncode == EXIT_OK, result.stderr.decode()


def test_a_write_that_fails_is_told_and_the_next_submission_is_tried(
    digits_folder: Path,
    wide: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench.records.score_record.append_record", full)
    arguments = ["score", str(digits_folder), str(digits_folder), "--metrics", "fid", "--json"]
    assert run(arguments) == EXIT_USAGE
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert captured.err.count("No space left on device") == 2


def test_a_terminal_sees_a_progress_bar(digits_folder: Path, tmp_path: Path) -> None:
    """Standard error on a terminal of its own; a pipe gets plain lines or nothing."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "bench", "audit", str(digits_folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, cwd=tmp_path)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # Linux: the far end of a closed terminal
        while chunk := os.read(ours, 65536):
            seen += chunk
    os.close(ours)
    out, _ = process.communicate()
    assert process.returncode == EXIT_OK
    assert "read" in seen.decode()
    assert "300/300" in seen.decode()
    assert b"300/300" not in out


def words_of(out: str) -> list[str]:
    return out.replace(",", " ").replace(";", " ").split()


def test_extractors_are_listed_with_their_choices(
    wide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["extractors"]) == EXIT_OK
    out = capsys.readouterr().out
    listed = set(words_of(out))
    for row in EXTRACTORS.values():
        choices = {row.name, *row.layers, *row.protocols, *row.precisions}
        assert choices <= listed, row.name
        assert row.weights.sha256[:12] in listed
    assert "torchvision:NAME" in listed
    assert "package.module:Class" in listed
    assert max(len(line) for line in out.splitlines()) <= 140


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--batch-size", "0"], "greater than or equal to 1"),
        (["--batch-size", "many"], "valid integer"),
        (["--subset", "1"], "greater than or equal to 2"),
        (["--device", "cuda"], "device 'cuda' cannot be used here (cpu, cuda)"),
        (["--resize", "28px"], "expected WIDTHxHEIGHT"),
        (["--resize", "4"], "each side must be 8 to 2048 px"),
        (["--precision", "exact"], "extractor 'digits' has no choice of precision"),
        (["--protocol", "clean-fid"], "extractor 'digits' has no choice of protocol"),
        (["--weights", "x.pth"], "extractor 'digits' takes no weights file"),
        (
            ["--reference", ".", "--extractor", "inception", "--protocol", "clean"],
            "Did you mean 'clean-fid'? Valid: clean-fid, pytorch-fid, torch-fidelity, torchmetrics",
        ),
        (["--reference", ".", "--layer", "1"], "Valid: 192, 2048, 64, 768, logits"),
        (["--reference", ".", "--precision", "x"], f"Valid: {PRECISIONS}"),
        (["--reference", ".", "--extractor", "incption"], "Did you mean 'inception'"),
        (["--reference", ""], "an empty reference"),
        (["--reference", "nowhere/real"], "no such reference manifest"),
    ],
)
def test_choices_that_are_not_there(
    digits_folder: Path,
    wide: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is one")
    monkeypatch.setenv("COLUMNS", "200")  # the option parser folds its messages
    assert run(["score", str(digits_folder), *arguments]) == EXIT_USAGE
    captured = capsys.readouterr()
    assert words in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert not list(wide.rglob("*.json*"))


NETS = """
import numpy as np


class Net:
    digest = "1"
    calls = 0

    def __call__(self, images):
        Net.calls += 1
        x = images.reshape(len(images), -1)[:, 300:308].astype(np.float32)
        return self.changed(x)


class Good(Net):
    def changed(self, x):
        return x


class NotANumber(Net):
    def changed(self, x):
        x[-1, 0] = np.nan
        return x


class Double(Net):
    def changed(self, x):
        return x.astype(np.float64)


class Flat(Net):
    def changed(self, x):
        return x.ravel()


class Missing(Net):
    def changed(self, x):
        return x[1:]


class Shrinking(Net):
    def changed(self, x):
        return x[:, : 8 - Net.calls]


class Raising(Net):
    def changed(self, x):
        raise RuntimeError("out of luck")


class Alas(Net):
    def __init__(self):
        raise OSError("no weights here")
"""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotANumber", "features are NaN or infinite for 1 of 8 images: number 7"),
        ("Double", "features are float64; return float32"),
        ("Flat", "features have shape (64,), expected (8, D): a row per image"),
        ("Missing", "features have shape (7, 8), expected (8, D): a row per image"),
        ("Shrinking", "features have 6 dimensions, 7 were expected"),
        ("Raising", "RuntimeError: out of luck"),
        ("Alas", "its constructor fails: OSError: no weights here"),
        ("Nobody", "has no 'Nobody'"),
    ],
)
def test_bad_extractors_of_your_own_leave_no_record(
    mnist: RealSample,
    wide: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    words: str,
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    module = f"nets_{name.lower()}"
    (wide / f"{module}.py").write_text(NETS)
    write_pngs(mnist.images[:16], wide / "real")
    write_pngs(mnist.images[20:30], wide / "fake")
    command = ["score", "fake", "--reference", "real", "--metrics", "fid", "--batch-size", "8"]
    assert run([*command, "--extractor", f"{module}:{name}"]) == EXIT_USAGE
    err = capsys.readouterr().err
    assert words in err
    assert f"{module}:{name}" in err
    assert "Traceback" not in err
    assert not list(wide.rglob("*.json*"))
    assert run([*command, "--extractor", f"{module}:Good"]) == EXIT_OK
    del sys.modules[module]


def test_what_was_done_to_the_images_is_said(
    mnist: RealSample, wide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pngs(np.pad(mnist.images[:30], ((0, 0), (2, 2), (2, 2), (0, 0))), wide / "large")
    command = ["score", "large", "--metrics", "fid,precision_k3"]
    assert run(command) == EXIT_INVALID
    assert "--resize 28" in capsys.readouterr().err
    assert run([*command, "--resize", "28", "--subset", "20"]) == EXIT_OK
    captured = capsys.readouterr()
    assert "images of other sizes were resized to 28x28 px" in captured.out
    assert "metrics that show 20 images use a fixed random subset of 30" in captured.out
    assert "perfect: what 20 held-out real images or 30 held-out real images score" in captured.out
    assert "|n=30|subset=20|resize=28x28|" in captured.out
    assert "resized (30)" in captured.err
    (record,) = read_records(wide / "latentbench-results" / "records.jsonl")
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
