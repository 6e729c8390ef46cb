"""`latentbench metrics`, `extractors`, `detectors` and `cache`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import run
from bench.errors import (
    EXIT_OK,
)
from bench.extractors import EXTRACTORS
from bench.metrics import METRICS

FAST = "fid,precision_k3"


def test_cache_verb(digits_folder: Path, workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_lists(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["metrics"]) == EXIT_OK
    out = capsys.readouterr().out
    assert all(name in out for name in METRICS)
    assert run(["extractors"]) == EXIT_OK
    assert "fashion" in capsys.readouterr().out
    assert run(["--version"]) == EXIT_OK
    assert capsys.readouterr().out.startswith("latentbench ")


def words_of(out: str) -> list[str]:
    return out.replace(",", " ").replace(";", " ").split()


def test_extractors_are_listed_with_their_choices(
    workdir: Path, capsys: pytest.CaptureFixture[str]
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
