"""`latentbench score`: options and extractors that are refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from bench.__main__ import run
from bench.errors import (
    EXIT_OK,
    EXIT_USAGE,
)
from bench.extractors import EXTRACTORS
from tests.conftest import RealSample, write_pngs

PRECISIONS = ", ".join(sorted(EXTRACTORS["inception"].precisions))


@pytest.mark.parametrize(
    "arguments",
    [["score", ""], ["score", "x", "--metrics", ""], ["score", "x", "--device", "meta"]],
)
def test_empty_and_impossible_arguments(
    workdir: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run(arguments) == EXIT_USAGE
    assert "Traceback" not in capsys.readouterr().err


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
    workdir: Path,
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
    assert not list(workdir.rglob("*.json*"))


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
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    words: str,
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    module = f"nets_{name.lower()}"
    (workdir / f"{module}.py").write_text(NETS)
    write_pngs(mnist.images[:16], workdir / "real")
    write_pngs(mnist.images[20:30], workdir / "fake")
    command = ["score", "fake", "--reference", "real", "--metrics", "fid", "--batch-size", "8"]
    assert run([*command, "--extractor", f"{module}:{name}"]) == EXIT_USAGE
    err = capsys.readouterr().err
    assert words in err
    assert f"{module}:{name}" in err
    assert "Traceback" not in err
    assert not list(workdir.rglob("*.json*"))
    assert run([*command, "--extractor", f"{module}:Good"]) == EXIT_OK
    del sys.modules[module]
