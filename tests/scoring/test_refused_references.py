"""References, choices and weights that cannot be used are refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import run
from bench.errors import (
    EXIT_USAGE,
    UsageError,
)
from bench.scoring.scorer import Scorer
from tests.scoring.targets import PLAIN


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "an empty reference: give a name, a manifest, or a folder"),
        ("missing/", "missing: no such reference manifest .* no folder or file of real images"),
        ("missing/x.json", "x.json: no such reference manifest"),
        ("missing", "unknown reference 'missing'. Valid: fashion-mnist, mnist"),
    ],
)
def test_references_that_are_not_there(
    photos: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    """An empty name must not stand for the current folder, though that holds images."""
    monkeypatch.chdir(photos / "real")
    with pytest.raises(UsageError, match=message):
        Scorer(reference=name, **PLAIN)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "cleanfid"}, "unknown protocol of extractor 'inception' 'cleanfid'. Did you"),
        ({"layer": "20"}, "unknown layer .* Valid: 192, 2048, 64, 768, logits"),
        ({"precision": "bf16"}, "unknown precision .* Did you mean 'fp16'. Valid: exact, fp16, "),
        ({"extractor": "digits", "protocol": "all"}, "'digits' has no choice of protocol; leave"),
        ({"extractor": "digits", "layer": "64"}, "'digits' has no choice of layer; leave it out"),
        ({"extractor": "vgg16", "layer": "fc3"}, "unknown layer .* Valid: fc2, fc2_relu"),
        ({"batch_size": 0}, "batch size 0: expected at least 1"),
        ({"extractor": "random-conv", "weights": "x.pth"}, "takes no weights file"),
        ({"weights": "missing.pth"}, "--weights missing.pth: there is no such file or folder"),
        ({"subset": 1}, "subset 1: expected at least 2 images"),
        ({"resize": "32x"}, "expected WIDTHxHEIGHT"),
    ],
)
def test_choices_that_are_not_there(
    photos: Path, offline: None, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        Scorer(reference=photos / "real", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "clean-fid"}, "'digits' has no choice of protocol; leave it out"),
        ({"extractor": "digits", "protocol": "all"}, "'digits' has no choice of protocol"),
        ({"layer": "64"}, "'digits' has no choice of layer"),
        ({"extractor": "inception", "protocol": "x"}, "unknown protocol .* Valid: clean-fid"),
        ({"protocol": "all"}, "not built for extractor 'inception torch-fidelity', only for"),
        ({"extractor": "inception", "protocol": "all"}, "Build it: latentbench reference build m"),
    ],
)
def test_choices_that_no_bundle_has(options: dict[str, object], message: str) -> None:
    """What an extractor cannot do is told as such, not as a bundle that could be built."""
    with pytest.raises(UsageError, match=message):
        Scorer(reference="mnist", **options)  # type: ignore[arg-type]


def test_weights_of_another_digest(
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pth").write_bytes(b"not these")
    command = ["score", str(photos / "fake"), "--reference", str(photos / "real")]
    assert run([*command, "--weights", "w.pth"]) == EXIT_USAGE
    err = capsys.readouterr().err
    found = "e5be27a64e06683c6568ca684ab714d94c54e50fa02ba5f159f8d3f13d5836b8"  # by sha256sum
    for part in ("w.pth", found, "6726825d", "https://github.com/toshas", "--unverified-weights"):
        assert part in err
    assert run([*command, "--weights", "w.pth", "--unverified-weights"]) == EXIT_USAGE
    assert "w.pth cannot be read" in capsys.readouterr().err
    assert run([*command, "--weights", "missing.pth"]) == EXIT_USAGE
    assert "--weights missing.pth: there is no such file" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.json*"))
