"""`latentbench audit`: findings, repairs, several submissions, the example spec."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.__main__ import run
from bench.errors import EXIT_INVALID, EXIT_NOTHING_FOUND, EXIT_OK, EXIT_USAGE
from tests.conftest import RealSample, write_pngs


def test_audit(digits_folder: Path, workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_audit_repairs(
    mnist: RealSample, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pngs(np.repeat(mnist.images[:5], 3, axis=3), workdir / "rgb")
    (workdir / "rgb" / "torn.png").write_bytes((workdir / "rgb" / "00000.png").read_bytes()[:50])
    assert run(["audit", "rgb", "--repair", "fixed"]) == EXIT_INVALID
    err = capsys.readouterr().err
    assert "nothing was written to fixed" in err
    assert "can be repaired: png-truncated (1)" in err
    assert not (workdir / "fixed").exists()
    (workdir / "rgb" / "torn.png").unlink()
    (workdir / "rgb" / "notes.txt").write_text("x")
    assert run(["audit", "rgb", "--repair", "fixed"]) == EXIT_OK
    err = capsys.readouterr().err
    assert "all 5 images written to fixed" in err
    repaired = err.partition("written to fixed")[2]
    assert "repaired grey-as-rgb (5)" in repaired
    assert "fix:" not in repaired
    assert "not in the copy: junk-file (1)" in repaired
    assert run(["audit", "fixed"]) == EXIT_OK
    assert capsys.readouterr().err == ""


def test_the_command_in_an_error_shows_the_errors(
    mnist: RealSample, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An audit without the spec would call this folder valid."""
    write_pngs(mnist.images[:5], workdir / "my samples")
    assert run(["score", "my samples", "--spec", "mnist-10k"]) == EXIT_INVALID
    err = capsys.readouterr().err
    assert "`latentbench audit 'my samples' --spec mnist-10k` shows" in err
    assert run(["audit", "my samples", "--spec", "mnist-10k"]) == EXIT_INVALID
    assert "wrong-count" in capsys.readouterr().err


def test_several_submissions(
    mnist: RealSample, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A report each; the exit code is that of the worst."""
    for name in ("one", "two"):
        write_pngs(mnist.images[:5], workdir / name)
    assert run(["audit", "one", "two"]) == EXIT_OK
    out = capsys.readouterr().out
    assert [line.split(":")[0] for line in out.splitlines()] == ["one", "two"]
    (workdir / "two" / "00000.png").write_bytes(b"junk")
    assert run(["audit", "one", "two", "one", "--json"]) == EXIT_INVALID
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [report["source"] for report in reports] == ["one", "two", "one"]
    assert [report["valid"] for report in reports] == [True, False, True]
    assert run(["audit", "two", "one"]) == EXIT_INVALID
    captured = capsys.readouterr()
    assert captured.err.startswith("two:\n")
    assert "one: valid" in captured.out
    (workdir / "empty").mkdir()
    assert run(["audit", "two", "empty", "one", "--json"]) == EXIT_NOTHING_FOUND
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert reports[1]["exit_code"] == EXIT_NOTHING_FOUND
    assert reports[2]["valid"] is True
    assert run(["audit", "missing", "one"]) == EXIT_USAGE
    captured = capsys.readouterr()
    assert "missing" in captured.err
    assert "one: valid" in captured.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no submission is given"),
        (["a", "b", "--repair", "c"], "--repair writes one corrected copy"),
        (["a", "--reference", "mnist"], "--reference needs --content"),
        (["a", "--spec", "mnist-10"], "Did you mean 'mnist-10k'"),
    ],
)
def test_impossible_requests_are_refused(
    arguments: list[str], message: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["audit", *arguments]) == EXIT_USAGE
    assert message in capsys.readouterr().err


def test_the_example_spec_can_be_used_as_it_is(
    digits_folder: Path, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["audit", "--example-spec"]) == EXIT_OK
    (workdir / "course.toml").write_text(capsys.readouterr().out)
    assert run(["audit", str(digits_folder), "--spec", "course.toml"]) == EXIT_OK
    strict = (workdir / "course.toml").read_text().replace("# width_px = 28", "width_px = 27")
    (workdir / "strict.toml").write_text(strict)
    assert run(["audit", str(digits_folder), "--spec", "strict.toml"]) == EXIT_INVALID
    assert "wrong-size" in capsys.readouterr().err
