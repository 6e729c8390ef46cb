"""The whole `score` of a folder of PNG files, against the same job done with the usual tools.

The peer reads every file with Pillow, extracts with the same network in torch-fidelity's batch
size of 64, and computes torch-fidelity's FID, KID, IS, precision and recall, prdc's density and
coverage, on the same features. Latentbench's run checks the files, computes seven metrics more
and writes a record.

    tox -e throughput -- -k score
"""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from prdc import compute_prdc
from pytest_benchmark.fixture import BenchmarkFixture
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from baselines.runs.demo import generate_digits
from baselines.sampling.samples_folder import write_samples
from bench.extractors import EXTRACTORS
from bench.extractors.base import ExtractorChoice
from bench.references.bundle import load_reference
from bench.references.image_deal import ImageDeal
from bench.references.lookup import find_manifest
from bench.scoring.scorer import Scorer
from bench.statistics.moments import Features
from tests.throughput.conftest import WriteRow

SCALE = float(os.environ.get("LATENTBENCH_BENCH_SCALE", "1"))
NUM_IMAGES = max(2_000, round(10_000 * SCALE))
ROUNDS = 3 if SCALE >= 1 else 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("score") / "samples"
    write_samples(generate_digits(NUM_IMAGES, seed=0), path)
    return path


def features_of(folder: Path) -> tuple[NDArray[np.uint8], Features]:
    images = np.stack(
        [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())]
    )
    extractor = EXTRACTORS["digits"].resolve(ExtractorChoice(batch_size=64)).load()
    return images, extractor(images)


def peer_inception_score(folder: Path) -> float:
    """The peer's score of each of our splits, averaged; its own splits depend on file names."""
    images, features = features_of(folder)
    assert features.logits is not None
    deal = ImageDeal(2020)
    deal.add(np.ascontiguousarray(images[..., :1]))  # grey, as the scorer reads them
    splits = deal.splits(0, len(images))
    scores = [
        isc_features_to_metric(
            torch.from_numpy(features.logits[splits == number]), splits=1, shuffle=False
        )
        for number in np.unique(splits)
    ]
    return float(np.mean([score["inception_score_mean"] for score in scores]))


def peer(folder: Path) -> dict[str, float]:
    _, features = features_of(folder)
    reference = load_reference(find_manifest("mnist"))
    real, fake = torch.from_numpy(reference.train), torch.from_numpy(features.values)
    statistics = [fid_features_to_statistics(f) for f in (fake, real)]
    assert features.logits is not None
    found: dict[str, float] = {}
    found |= fid_statistics_to_metric(*statistics, verbose=False)
    found |= kid_features_to_metric(fake, real, kid_subset_size=1000, verbose=False)
    found |= isc_features_to_metric(torch.from_numpy(features.logits))
    found |= prc_features_to_metric(fake, real, verbose=False)
    prdc = compute_prdc(reference.train, features.values, nearest_k=5)
    return found | {"density": prdc["density"], "coverage": prdc["coverage"]}


def ours(folder: Path) -> dict[str, float]:
    record = Scorer(reference="mnist", use_cache=False).score(folder)
    return {entry.metric: entry.value for entry in record.values if entry.value is not None}


def timed(function: Callable[[Path], dict[str, float]], folder: Path) -> float:
    gc.collect()
    start = time.perf_counter()
    function(folder)
    return time.perf_counter() - start


def test_score_of_a_folder(benchmark: BenchmarkFixture, folder: Path, write_row: WriteRow) -> None:
    peer_s: list[float] = []
    ours(folder)  # the first call of each side loads libraries
    expected = peer(folder)

    def setup() -> tuple[tuple[Path], dict[str, object]]:
        peer_s.append(timed(peer, folder))  # in turn with ours, so that both see the same machine
        return (folder,), {}

    found = benchmark.pedantic(ours, setup=setup, rounds=ROUNDS)
    # the same answers: precision and recall, and what the peers compute on the subset alone
    assert found["density_k5"] == pytest.approx(expected["density"], rel=1e-4)
    assert found["coverage_k5"] == pytest.approx(expected["coverage"], rel=1e-3)
    assert found["inception_score"] == pytest.approx(peer_inception_score(folder), rel=1e-6)
    assert found["kid_poly3"] == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-4)
    assert found["precision_k3"] == pytest.approx(expected["precision"], abs=3 / NUM_IMAGES)
    assert found["recall_k3"] == pytest.approx(expected["recall"], abs=3 / NUM_IMAGES)
    title = f"score of {NUM_IMAGES} PNGs, all {len(found)} metrics with intervals and findings"
    peer_title = "Pillow, the same network, torch-fidelity and prdc (fewer metrics)"
    write_row(title, benchmark.stats.stats.data, peer_title, peer_s)


def cpu_seconds(command: list[str], cache: Path) -> float:
    """CPU time, user and system, of a command in a process of its own."""
    environment = os.environ | {
        "LATENTBENCH_CACHE": str(cache / "results"),
        "PYTHONPYCACHEPREFIX": str(cache / "bytecode"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(
    ("job", "arguments", "goal_s"),
    [("help", ["--help"], 0.15), ("score from the cache", ["score", "FOLDER"], 1.2)],
)
def test_start_up(
    benchmark: BenchmarkFixture,
    folder: Path,
    tmp_path: Path,
    write_row: WriteRow,
    job: str,
    arguments: list[str],
    goal_s: float,
) -> None:
    """CPU seconds of commands that compute nothing. The goals hold for 10,000 images on a quiet
    machine of 2025; they are recorded, not asserted.
    """
    command = [sys.executable, "-m", "bench"]
    command += [str(folder) if word == "FOLDER" else word for word in arguments]
    if "score" in arguments:
        command += ["--out", str(tmp_path / "out"), "--quiet"]
    cpu_seconds(command, tmp_path)  # fills the cache, and writes the bytecode
    spent_s: list[float] = []
    benchmark.pedantic(
        lambda: spent_s.append(cpu_seconds(command, tmp_path)),
        rounds=5 if SCALE >= 1 else 1,
    )
    write_row(f"CPU time of {job}, {NUM_IMAGES} images", spent_s, goal_s=goal_s)
