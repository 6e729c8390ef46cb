"""The study of precisions: its roundings, its rows and its page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bench.__main__ import run
from bench.errors import EXIT_NOTHING_FOUND
from bench.extractors.base import ExtractorChoice
from bench.extractors.convolution import Conv, round_to_half
from bench.extractors.inception import read_network
from bench.studies.image_sets import ImageSets
from bench.studies.precisions import (
    STEM_CONVOLUTIONS,
    VARIANTS,
    rounded,
    run_study,
    two_halves,
)


def test_two_halves_keep_twice_the_bits() -> None:
    x = torch.rand(1000, generator=torch.Generator().manual_seed(0)) + 0.5
    one, two = ((f(x) - x).abs().max() for f in (round_to_half, two_halves))
    # half a unit in the last place: 2^-11 below 1 and 2^-10 above; of the rest, 2^-11 as much
    assert 2.0**-13 < one <= 2.0**-11
    assert two <= 2.0**-21


def test_variants_round_what_they_say(weights: Path) -> None:
    network = read_network(weights)
    network.set_precision("exact", "cpu")
    for variant in VARIANTS:
        changed = [m for m in rounded(network, variant).modules() if isinstance(m, Conv)]
        before = [m for m in network.modules() if isinstance(m, Conv)]
        for number, (old, new) in enumerate(zip(before, changed, strict=True)):
            differs = not torch.equal(old.weight, new.weight)
            reached = number >= variant.first
            expected = variant.offered or (variant.weights is not None and reached)
            assert differs == expected, (variant.name, number)
            rounds = variant.offered or (variant.inputs is not None and reached)
            assert (new.round_input is not None) == rounds
            assert (new.round_output is not None) == (variant.name == "fp16")
    assert {v.first for v in VARIANTS} == {0, STEM_CONVOLUTIONS}


def test_precision_study(weights: Path, sets: ImageSets, tmp_path: Path) -> None:
    choice = ExtractorChoice(weights=weights, unverified_weights=True)
    run_study(tmp_path, sets, choice, weights="untrained", command="a test")
    rows = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    by_name = {row["variant"]: row for row in rows}
    assert list(by_name) == [variant.name for variant in VARIANTS]
    assert by_name["tf32x3"]["feature_error"] < 3e-6 < 1e-4 < by_name["tf32"]["feature_error"]
    assert by_name["bf16"]["feature_error"] > 3 * by_name["fp16"]["feature_error"]
    shift = by_name["bf16"]["fid_against_exact"] / by_name["bf16"]["fid_exact"] - 1
    assert by_name["bf16"]["shift_against_exact"] == pytest.approx(shift)
    page = (tmp_path / "README.md").read_text()
    assert "Made by `a test` with 4 images in each set" in page
    assert all(f"| {variant.name} |" in page for variant in VARIANTS)


def test_rendering_without_records(tmp_path: Path) -> None:
    for what in ("protocols", "precisions"):
        assert run(["study", what, "--out", str(tmp_path), "--render"]) == EXIT_NOTHING_FOUND
