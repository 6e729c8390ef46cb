"""`latentbench reference`: build, list and verify."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import run
from bench.errors import (
    EXIT_OK,
    EXIT_USAGE,
)
from tests.conftest import RealSample, write_pngs


def test_reference_verbs(
    mnist: RealSample,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_pngs(mnist.images[:30], workdir / "train")
    write_pngs(mnist.images[30:50], workdir / "test")
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
    (workdir / "b" / "own-digits.npz").write_bytes(b"damage")
    assert run(["reference", "verify", "b/own-digits.json"]) == EXIT_USAGE
    captured = capsys.readouterr()
    assert "FAILED" in captured.out
    assert "1 of 1 references are unfit" in captured.err
