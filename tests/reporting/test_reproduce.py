"""The commands under "How to reproduce": run as they are, they give the same record."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest

from bench.__main__ import run
from bench.errors import EXIT_OK
from bench.records.score_record import ScoreRecord, read_records
from bench.reporting.reproduce import commands, protocol_rows
from tests.conftest import RealSample, write_pngs
from tests.records.test_score_record import record

SPEC = 'name = "own"\ncount = 60\nwidth_px = 28\nheight_px = 28\nmode = "grey"\nformats = ["png"]\n'


def scored(words: list[str], out: str) -> ScoreRecord:
    assert run(["score", *words, "--out", out, "--no-pictures", "-q"]) == EXIT_OK
    return read_records(out)[-1]


@pytest.mark.parametrize(
    "options",
    [
        ["--reference", "./real", "--extractor", "pixels", "--metrics", "fid"],
        ["--resize", "28", "--metrics", "fid,coverage_k5", "--seed", "7", "--subset", "40"],
        ["--spec", "own.toml", "--metrics", "modes_covered", "--batch-size", "8", "--no-cache"],
        ["--metrics", "modes_covered", "--limit", "50", "--device", "cpu"],
        ["--metrics", "anomaly_auc", "--detector", "knn-features"],
    ],
)
def test_every_option_is_repeated(
    options: list[str], mnist: RealSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pngs(mnist.images[:60], tmp_path / "fake")
    write_pngs(mnist.images[60:130], tmp_path / "real")
    (tmp_path / "own.toml").write_text(SPEC)
    first = scored(["fake", *options], "one")
    (command,) = commands([first])
    words = shlex.split(command)
    assert words[:3] == ["latentbench", "score", "fake"]
    for option in options[::2] if "--no-cache" not in options else [*options[:6:2], "--no-cache"]:
        assert option in words
    again = scored(words[2:], "two")
    assert again.signature == first.signature
    assert again.values == first.values
    given = {word for word in first.options if word.startswith("--")}
    assert given <= set(again.options)


def test_options_of_a_record_from_the_cache_are_those_of_now(
    mnist: RealSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "a.npz", one=mnist.images[:60], two=mnist.images[60:120])
    plain = scored(["a.npz:two", "--metrics", "modes_covered"], "one")
    cached = scored(["a.npz:two", "--metrics", "modes_covered", "--batch-size", "9"], "two")
    assert cached.from_cache
    assert "--batch-size 9" in commands([cached])[0]
    assert "--batch-size" not in commands([plain])[0]
    assert commands([plain])[0].startswith("latentbench score a.npz:two --reference mnist")
    assert ("source", "a.npz:two, array two") in protocol_rows([plain])


def test_a_record_of_an_earlier_version_shows_what_is_in_effect() -> None:
    old = record().model_copy(update={"seed": 3, "subset": 40, "options": ()})
    assert commands([old]) == [
        "latentbench score /x/samples --reference mnist --extractor digits --subset 40 --seed 3 "
        "--metrics fid"
    ]
