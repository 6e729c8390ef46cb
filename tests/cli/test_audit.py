"""`latentbench audit`: findings, repairs, several submissions, the example spec."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.__main__ import run
from bench.errors import (
    EXIT_INVALID,
    EXIT_OK,
)
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
    assert "5 images written to fixed" in err
    assert "torn.png" in err
    assert run(["audit", "fixed"]) == EXIT_OK
