"""`inception` against torch-fidelity 0.4 with the same weights, images, device and threads.

    tox -e throughput -- -k inception
    LATENTBENCH_BENCH_DEVICE=cuda python -m pytest tests/throughput/test_inception.py -s

Features alone; a whole run of FID, Inception Score, KID, precision and recall over a folder of PNG
files against a stored reference (torch-fidelity's cache is warm as well); and where the time goes:
decoding, resizing, forward pass, metrics, with the share of the device's own matmul rate that the
forward pass reaches (11.4 GFLOP an image). Weights are random (`tests.inception_weights`); speed
does not depend on them. Ours and the peer take turns, medians are compared.
`LATENTBENCH_BENCH_SCALE` multiplies the number of images (at 1: 320 on a CPU, 10,000 on a GPU).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch_fidelity
from numpy.typing import NDArray
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from baselines.demo import generate_digits
from baselines.sample import write_samples
from bench.devices import strict_float32
from bench.extractors import extractor_row
from bench.extractors.base import Extractor, ExtractorChoice
from bench.extractors.resampling import network_input
from bench.intake import ImageStream
from bench.real_images import RealImages
from bench.reference_build import build_references
from bench.scoring import Scorer
from tests.inception_weights import save_random_weights

SCALE = float(os.environ.get("LATENTBENCH_BENCH_SCALE", "1"))
DEVICE = os.environ.get("LATENTBENCH_BENCH_DEVICE", "cpu")
ON_GPU = DEVICE.startswith("cuda")
NUM_IMAGES = max(32, round((10_000 if ON_GPU else 320) * SCALE))
ROUNDS = 3 if SCALE >= 1 else 1
PEER_BATCH = 64  # torch-fidelity's default
GFLOP_AN_IMAGE = 11.4
PRECISIONS = ("exact", "tf32x3", "tf32", "fp16") if ON_GPU else ("exact",)
METRICS = ("fid", "inception_score", "kid_poly3", "precision_k3", "recall_k3")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_weights(tmp_path_factory.mktemp("weights") / "random.pth")


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return generate_digits(NUM_IMAGES, seed=0)


def load(weights: Path, precision: str) -> Extractor:
    choice = ExtractorChoice(weights=weights, unverified_weights=True, precision=precision)
    return extractor_row("inception").resolve(choice).load(DEVICE)


def synchronised() -> float:
    if ON_GPU:
        torch.cuda.synchronize()
    return time.perf_counter()


def matmul_gflop_s() -> float:
    """What the device does at best in strict float32: products of 4,096 x 4,096."""
    n = 4096 if ON_GPU else 2048
    a = torch.randn(n, n, device=DEVICE)
    rates = []
    with strict_float32():
        for _ in range(6):
            start = synchronised()
            a @ a
            rates.append(2 * n**3 / (synchronised() - start) / 1e9)
    return float(np.median(rates))


def in_turn(
    benchmark: Any, ours: Callable[[], Any], peer: Callable[[], Any]
) -> tuple[Any, Any, float, float]:
    """Results and median seconds of both."""
    peer_s: list[float] = []
    results: list[Any] = []

    def run_peer() -> None:
        start = synchronised()
        results.append(peer())
        peer_s.append(synchronised() - start)

    found = benchmark.pedantic(ours, setup=run_peer, rounds=ROUNDS, warmup_rounds=0)
    own_s, median_s = benchmark.stats.stats.median, float(np.median(peer_s))
    benchmark.extra_info.update(
        peer_s=peer_s, ratio=median_s / own_s, num_images=NUM_IMAGES, device=DEVICE
    )
    return found, results[-1], own_s, median_s


@pytest.mark.parametrize("precision", PRECISIONS)
def test_features(benchmark: Any, precision: str, weights: Path, images: NDArray[np.uint8]) -> None:
    peer = FeatureExtractorInceptionV3(
        "inception-v3-compat",
        ["2048", "logits_unbiased"],
        feature_extractor_weights_path=str(weights),
    ).to(DEVICE)
    batches = torch.from_numpy(images).permute(0, 3, 1, 2).expand(-1, 3, -1, -1)
    extractor = load(weights, precision)
    extractor(images[:16])  # the first call of each side loads libraries
    with torch.inference_mode():
        peer(batches[:16].contiguous().to(DEVICE))

    def run_peer() -> NDArray[np.float32]:
        with torch.inference_mode():
            found = [
                peer(part.contiguous().to(DEVICE))[0].cpu() for part in batches.split(PEER_BATCH)
            ]
        return torch.cat(found).numpy()

    found, expected, own_s, peer_s = in_turn(benchmark, lambda: extractor(images).values, run_peer)
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert error < (1e-5 if precision == "exact" and not ON_GPU else 1e-2)
    rate = NUM_IMAGES / own_s
    share = rate * GFLOP_AN_IMAGE / matmul_gflop_s()
    print(
        f"\nInception features on {DEVICE}, {precision}: {rate:.1f} images/s, torch-fidelity "
        f"{NUM_IMAGES / peer_s:.1f}: {peer_s / own_s:.2f}x (median of {ROUNDS} pairs; largest "
        f"difference {error:.1e}; {share:.0%} of the float32 matmul rate)"
    )


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_whole_run(
    benchmark: Any,
    precision: str,
    weights: Path,
    images: NDArray[np.uint8],
    tmp_path: Path,
) -> None:
    fake, real = tmp_path / "fake", tmp_path / "real"
    write_samples(images, fake)
    write_samples(generate_digits(NUM_IMAGES, seed=1), real)
    choice = ExtractorChoice(weights=weights, unverified_weights=True, precision=precision)
    (manifest,) = build_references(
        "real",
        tmp_path,
        extractors=[extractor_row("inception").resolve(choice)],
        train=RealImages(real),
        test=None,
        command="a benchmark",
        device=DEVICE,
    )

    def ours() -> dict[str, float]:
        record = Scorer(
            reference=str(manifest),
            weights=weights,
            unverified_weights=True,
            metrics=METRICS,
            device=DEVICE,
            use_cache=False,
        ).score(fake)
        return {metric: record.value(metric) for metric in METRICS}

    def peer() -> dict[str, float]:
        found: dict[str, float] = torch_fidelity.calculate_metrics(
            input1=str(fake),
            input2=str(real),
            input2_cache_name="real",  # stored, as our reference is
            cache_root=str(tmp_path / "cache"),
            cuda=ON_GPU,
            isc=True,
            fid=True,
            kid=True,
            prc=True,
            kid_subset_size=min(1000, NUM_IMAGES),
            feature_extractor="inception-v3-compat",
            feature_extractor_weights_path=str(weights),
            verbose=False,
            save_cpu_ram=not ON_GPU,
        )
        return found

    peer()  # fills its cache
    found, expected, own_s, peer_s = in_turn(benchmark, ours, peer)
    tolerance = 1e-3 if precision == "exact" and not ON_GPU else 0.1
    fid = expected["frechet_inception_distance"]
    assert found["fid"] == pytest.approx(fid, rel=tolerance)
    assert found["precision_k3"] == pytest.approx(expected["precision"], abs=0.02)
    print(
        f"\nFID, IS, KID, P/R of {NUM_IMAGES} PNGs on {DEVICE}, {precision}: {own_s:.1f} s, "
        f"torch-fidelity {peer_s:.1f} s: {peer_s / own_s:.2f}x (median of {ROUNDS} pairs)"
    )


def test_where_the_time_goes(
    benchmark: Any, weights: Path, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    """Decoding, resizing, forward pass and metrics, each alone."""
    folder = tmp_path / "fake"
    write_samples(images, folder)
    extractor = load(weights, "exact")
    seconds = {}
    start = time.perf_counter()
    with ImageStream(folder) as stream:
        num_read = sum(map(len, stream))
    seconds["decode and check"] = time.perf_counter() - start
    assert num_read == NUM_IMAGES
    batches = torch.from_numpy(images).permute(0, 3, 1, 2).expand(-1, 3, -1, -1).split(8)
    start = synchronised()
    for batch in batches:
        network_input(batch.to(DEVICE), "torch-fidelity", 299)
    seconds["resize"] = synchronised() - start
    features = benchmark.pedantic(lambda: extractor(images), rounds=1)
    seconds["forward"] = benchmark.stats.stats.median - seconds["resize"]
    scorer = Scorer(
        reference="mnist", metrics=[m for m in METRICS if m != "inception_score"], device=DEVICE
    )
    start = time.perf_counter()
    scorer.score_images(images, name="x")
    seconds["metrics (with digits features)"] = time.perf_counter() - start
    assert features.values.shape == (NUM_IMAGES, 2048)
    parts = ", ".join(f"{name} {1e3 * s / NUM_IMAGES:.2f}" for name, s in seconds.items())
    benchmark.extra_info.update(seconds)
    print(f"\nms an image on {DEVICE}: {parts}")
