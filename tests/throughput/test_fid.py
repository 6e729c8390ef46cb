"""FID, KID and Inception Score against torch-fidelity 0.4 on the same arrays, in the same run.

    python -m pytest tests/throughput/test_fid.py --benchmark-only -s

Prints the ratio to the peer and keeps it in `extra_info`; asserts agreement, never a time. Ours and
the peer take turns, and medians are compared, so that another job on the machine slows both.
`LATENTBENCH_BENCH_SCALE` multiplies the numbers of images and of features (default 1: 10,000
images, 2,048 features, 1,008 classes).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch_fidelity.metric_fid import fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from bench.metrics.frechet import frechet_distance
from bench.metrics.inception_score import inception_score
from bench.metrics.kid import kernel_distance
from bench.statistics.moments import Features, Moments

SCALE = float(os.environ.get("LATENTBENCH_BENCH_SCALE", "1"))
N, D, K = (max(int(size * SCALE), 64) for size in (10_000, 2048, 1008))
ROUNDS = 3


def features(seed: int, n: int, d: int, gain: float = 1.0) -> NDArray[np.float32]:
    """Non-negative features with the power-law spectrum of pooled Inception features."""
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((d, d)))[0]
    spectrum = gain * np.arange(1, d + 1) ** -0.8
    noise = np.random.default_rng(seed).standard_normal((n, d)) * spectrum
    return np.abs(noise @ basis + 0.4).astype(np.float32)


def compare(
    benchmark: Any,
    write_row: Any,
    title: str,
    ours: Callable[[], float],
    peer: Callable[[], float],
    peer_name: str = "torch-fidelity",
) -> tuple[float, float]:
    """Time both in turns; return their values."""
    peer_s, values = [], []

    def run_peer() -> None:
        start = time.perf_counter()
        values.append(peer())
        peer_s.append(time.perf_counter() - start)

    value = benchmark.pedantic(ours, setup=run_peer, rounds=ROUNDS, warmup_rounds=0)
    write_row(title, benchmark.stats.stats.data, peer_name, peer_s)
    return value, values[-1]


def test_fid_from_moments(benchmark, write_row):
    moments = [Moments.of(features(seed, N, D, gain)) for seed, gain in ((1, 1.0), (2, 1.1))]
    stats = [{"mu": m.mean, "sigma": m.covariance()} for m in moments]
    got, expected = compare(
        benchmark,
        write_row,
        f"FID from moments, D={D}",
        lambda: frechet_distance(*moments).value,
        lambda: fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"],
    )
    assert got == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["peer-float32", "peer-float64"])
@pytest.mark.parametrize("d", sorted({min(128, D), D}))
def test_kid(benchmark, write_row, d, dtype):
    size = min(1000, N)
    x, y = features(1, N, d), features(2, N, d, 1.1)
    x_peer, y_peer = (torch.from_numpy(f.astype(dtype)) for f in (x, y))
    got, expected = compare(
        benchmark,
        write_row,
        f"KID, N={N}, D={d}",
        lambda: kernel_distance(x, y).mean,
        lambda: kid_features_to_metric(x_peer, y_peer, kid_subset_size=size, verbose=False)[
            "kernel_inception_distance_mean"
        ],
        f"torch-fidelity in {np.dtype(dtype)}",
    )
    rel = 1e-6 if dtype is np.float64 else 1e-2  # float32 sums cancel: see bench/metrics/kid.py
    assert got == pytest.approx(expected, rel=rel, abs=1e-9)


def test_inception_score_from_logits(benchmark, write_row):
    logits = (np.random.default_rng(0).standard_normal((N, K)) * 3).astype(np.float32)
    kept = Features(values=logits, logits=logits)

    def ours() -> float:
        probabilities = kept.probabilities
        assert probabilities is not None
        return inception_score(probabilities).mean

    got, expected = compare(
        benchmark,
        write_row,
        f"Inception Score from logits, N={N}, K={K}",
        ours,
        lambda: isc_features_to_metric(torch.from_numpy(logits))["inception_score_mean"],
    )
    assert got == pytest.approx(expected, rel=1e-9)
