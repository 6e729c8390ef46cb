"""Kernel distance against torch-fidelity 0.4 and a plain double loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits
from torch_fidelity.metric_kid import kid_features_to_metric

from bench.errors import InputError
from bench.metrics.base import UndefinedMetric
from bench.metrics.kid import kernel_distance


@pytest.fixture(autouse=True)
def _one_thread():
    """Small products crawl on several threads when other jobs share the cores."""
    with threadpool_limits(1):
        yield


def draw(seed, n, d, scale=1.0):
    return (np.random.default_rng(seed).standard_normal((n, d)) * scale).astype(np.float32)


def torch_fidelity_kid(x, y, **options):
    got = kid_features_to_metric(torch.from_numpy(x), torch.from_numpy(y), verbose=False, **options)
    return got["kernel_inception_distance_mean"], got["kernel_inception_distance_std"]


@pytest.mark.parametrize(
    ("d", "scale", "shift"), [(64, 1.1, 0), (300, 0.9, 0), (300, 0.9, 0.5), (64, 5, 0)]
)
def test_agrees_with_torch_fidelity_in_float64(d, scale, shift):
    x, y = draw(0, 700, d, scale) + np.float32(shift), draw(1, 900, d) + np.float32(shift)
    options = {"kid_subsets": 20, "kid_subset_size": 500}
    mean, std = torch_fidelity_kid(x.astype(np.float64), y.astype(np.float64), **options)
    got = kernel_distance(x, y, subsets=20, subset_size=500)
    assert got.mean == pytest.approx(mean, rel=1e-6, abs=1e-9)
    assert got.std == pytest.approx(std, rel=1e-5)
    assert got.subset_size == 500


def test_agrees_with_torch_fidelity_in_float32():
    # its own float32 sums are good to 1e-6 only where the distance is not small
    x, y = draw(0, 1200, 128, 1.6) + np.float32(0.5), draw(1, 1500, 128)
    mean, std = torch_fidelity_kid(x, y, kid_subsets=10)
    got = kernel_distance(x, y, subsets=10)
    assert got.mean > 0.1
    assert got.mean == pytest.approx(mean, rel=1e-6)
    assert got.std == pytest.approx(std, rel=1e-4)


def test_equals_a_plain_loop():
    x, y = draw(2, 9, 3).astype(np.float64), draw(3, 7, 3, 2.0).astype(np.float64)

    def kernel(a, b):
        return (float(a @ b) / 3 + 1) ** 3

    rng = np.random.RandomState(5)
    values = []
    for _ in range(4):
        a, b = x[rng.choice(9, 6, replace=False)], y[rng.choice(7, 6, replace=False)]
        pairs = [(i, j) for i in range(6) for j in range(6)]
        within = sum(kernel(s[i], s[j]) for s in (a, b) for i, j in pairs if i != j) / 30
        values.append(within - 2 * sum(kernel(a[i], b[j]) for i, j in pairs) / 36)
    got = kernel_distance(x, y, subsets=4, subset_size=6, seed=5)
    assert got.mean == pytest.approx(np.mean(values), rel=1e-6)
    assert got.std == pytest.approx(np.std(values), rel=1e-6)


def test_two_points_by_hand():
    # D = 1, x = {1, 1}, y = {0, 0}: k(1,1) = 8, k(0,0) = 1, k(1,0) = 1: 8 + 1 - 2
    got = kernel_distance(np.ones((2, 1)), np.zeros((2, 1)), subsets=3)
    assert got == pytest.approx((7.0, 0.0, 2), abs=1e-6)


def test_real_against_real_is_zero_within_three_standard_errors():
    # 20 disjoint pairs, so that the standard deviation of their means is a standard error
    values = [
        kernel_distance(draw(i, 200, 16), draw(100 + i, 200, 16), subsets=5, subset_size=200).mean
        for i in range(20)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values, ddof=1) / math.sqrt(20)
    assert min(values) < 0  # never clamped


def test_small_folder_shrinks_the_subset():
    got = kernel_distance(draw(0, 40, 4), draw(1, 2000, 4), subsets=3)
    assert got.subset_size == 40
    assert math.isfinite(got.mean)


def test_large_and_tiny_features():
    # far outside float32's cubes: k is (x . y / D)^3 resp. 1 + 3 x . y / D
    large = kernel_distance(draw(0, 50, 4) * np.float32(1e15), draw(1, 50, 4), subsets=1)
    unit = kernel_distance(draw(0, 50, 4) * np.float32(1e5), draw(1, 50, 4), subsets=1)
    assert large.mean == pytest.approx(unit.mean * 1e60, rel=1e-4)
    assert kernel_distance(np.zeros((9, 4)), np.zeros((8, 4)), subsets=2).mean == 0
    tiny = kernel_distance(np.full((2, 1), 1e-12), np.zeros((2, 1)), subsets=1)
    assert tiny.mean == pytest.approx(3e-24, rel=1e-6)


def test_undefined_and_refused():
    with pytest.raises(UndefinedMetric, match="at least 2 images, got 1 and 5"):
        kernel_distance(draw(0, 1, 4), draw(1, 5, 4))
    for bad in (1e150, np.inf, np.nan):
        with pytest.raises(UndefinedMetric, match="overflow"):
            kernel_distance(np.full((4, 2), bad), np.ones((4, 2)))
    with pytest.raises(InputError, match="of 3 and of 2 dimensions"):
        kernel_distance(np.ones((4, 3)), np.ones((4, 2)))
