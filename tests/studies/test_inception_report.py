"""The published studies: their roundings, their rows, the pages made from them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.__main__ import run
from bench.errors import EXIT_NOTHING_FOUND, EXIT_OK
from bench.extractors.base import ExtractorChoice
from bench.extractors.convolution import Conv
from bench.extractors.inception import read_network
from bench.studies import inception_report as study_report
from bench.studies import precision as precision_study
from bench.studies import protocols as protocol_study
from bench.studies.precision import STEM_CONVOLUTIONS, VARIANTS, rounded, two_halves
from tests.conftest import RealSample
from tests.inception_weights import save_random_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_weights(tmp_path_factory.mktemp("weights") / "random.pth")


@pytest.fixture
def sets(mnist: RealSample) -> study_report.Sets:
    return {"digits": (mnist.images[:4], mnist.images[4:8])}


def test_two_halves_keep_twice_the_bits() -> None:
    x = torch.rand(1000, generator=torch.Generator().manual_seed(0)) + 0.5
    one, two = ((f(x) - x).abs().max() for f in (precision_study.round_to_half, two_halves))
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


def test_precision_study(weights: Path, sets: study_report.Sets, tmp_path: Path) -> None:
    choice = ExtractorChoice(weights=weights, unverified_weights=True)
    study_report.run_precisions(
        tmp_path, sets, choice, weights="untrained", command="made by a test", progress=None
    )
    rows = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    by_name = {row["variant"]: row for row in rows}
    assert list(by_name) == [variant.name for variant in VARIANTS]
    assert by_name["tf32x3"]["feature_error"] < 3e-6 < 1e-4 < by_name["tf32"]["feature_error"]
    assert by_name["bf16"]["feature_error"] > 3 * by_name["fp16"]["feature_error"]
    shift = by_name["bf16"]["fid_against_exact"] / by_name["bf16"]["fid_exact"] - 1
    assert by_name["bf16"]["shift_against_exact"] == pytest.approx(shift)
    page = (tmp_path / "README.md").read_text()
    assert "made by a test" in page
    assert all(f"| {variant.name} |" in page for variant in VARIANTS)


def test_protocol_study(weights: Path, sets: study_report.Sets, tmp_path: Path) -> None:
    choice = ExtractorChoice(weights=weights, unverified_weights=True)
    study_report.run_protocols(
        tmp_path, sets, choice, weights="untrained", command="made by a test", progress=None
    )
    rows = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert [row["protocol"] for row in rows] == [
        "torch-fidelity",
        "clean-fid",
        "pytorch-fid",
        "torchmetrics",
    ]
    assert rows[0]["input_difference"] == 0
    assert all(row["input_difference"] > 0.1 for row in rows[1:])
    page = (tmp_path / "README.md").read_text()
    ratio = rows[1]["fid_noisy"] / rows[0]["fid_noisy"]
    assert f"{rows[1]['fid_noisy']:.4g} ({ratio:.3f})" in page
    (tmp_path / "README.md").unlink()
    assert run(["study", "protocols", "--out", str(tmp_path), "--render"]) == EXIT_OK
    assert (tmp_path / "README.md").read_text() == page


def test_rendering_without_records(tmp_path: Path) -> None:
    for what in ("protocols", "precisions"):
        assert run(["study", what, "--out", str(tmp_path), "--render"]) == EXIT_NOTHING_FOUND


def test_noise_is_of_the_stated_size(mnist: RealSample) -> None:
    grey = np.full((20, 28, 28, 1), 128, np.uint8)
    noise = protocol_study.noisy(grey, seed=0).astype(float) - 128
    assert noise.std() == pytest.approx(protocol_study.NOISE_SD, rel=0.02)


def test_crops_are_those_of_the_photographs() -> None:
    crops = study_report.photo_crops(6, 32, 48, seed=1)
    assert crops.shape == (6, 32, 48, 3)
    assert len({crop.tobytes() for crop in crops}) == 6
    assert crops.std() > 20
    np.testing.assert_array_equal(crops, study_report.photo_crops(6, 32, 48, seed=1))
