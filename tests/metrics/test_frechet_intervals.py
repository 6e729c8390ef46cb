"""The expansion of FID: finite differences, known moments of Gaussians, bootstrap, simulation."""

from __future__ import annotations

import contextlib
import dataclasses
import math

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from bench.metrics import METRICS
from bench.metrics.base import MetricInputs, UndefinedMetric
from bench.metrics.fid_infinity import line_in_reciprocal, subset_sizes
from bench.metrics.frechet import frechet_distance
from bench.metrics.frechet_expansion import expand
from bench.metrics.frechet_intervals import line_factors
from bench.statistics.moments import Moments


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    with threadpool_limits(1):
        yield


def exact(mean, covariance):
    """Moments of infinitely many images, nearly."""
    n = 10**9
    return Moments(n, np.asarray(mean, float), np.asarray(covariance, float) * (n - 1))


def gaussian(seed, n, dim, shift=0.0, spread=1.0):
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(5).standard_normal((dim, dim)) / math.sqrt(dim) + np.eye(dim)
    return shift + spread * rng.standard_normal((n, dim)) @ mixing


def inputs_of(real, f_ND):
    f = f_ND.astype(np.float32)
    return MetricInputs(
        fake_features=f, fake_probabilities=None, real_features=f, real_moments=real
    )


def weighted_distance(real, f_ND, w_N):
    """FID with the weights w (sum 1) on the rows, covariance times n / (n - 1)."""
    n = len(f_ND)
    mean = w_N @ f_ND
    a = f_ND - mean
    return frechet_distance(real, Moments(n, mean, n * (a.T @ (a * w_N[:, None])))).value


@pytest.mark.parametrize("real_n", [500, 5], ids=["full rank", "singular reals"])
def test_influence_is_the_derivative(real_n):
    real = Moments.of(gaussian(0, real_n, 8))
    f = gaussian(1, 400, 8, shift=0.4, spread=1.3)
    found = expand(real, f, seed=0)
    uniform = np.full(len(f), 1 / len(f))
    step = 1e-5
    for row in (0, 7, 399):
        to_row = np.eye(len(f))[row] - uniform
        up, down = (weighted_distance(real, f, uniform + s * to_row) for s in (step, -step))
        # the divisor n - 1 makes 1 / n of difference
        slope = (up - down) / (2 * step)
        assert found.influence[row] == pytest.approx(slope, abs=0.01 * found.influence.std())
    assert found.value == pytest.approx(weighted_distance(real, f, uniform), rel=1e-9)
    assert found.influence.mean() == pytest.approx(0, abs=1e-9)


def test_mean_square_of_pairs_of_equal_gaussians():
    """With both covariances I: h = x.y + sum_ij (x_i x_j - d_ij)(y_i y_j - d_ij) / 4, and by
    Isserlis E h^2 = D + (2 D^2 + 2 D) / 16; bias D + D (D + 1) / 4.
    """
    dim = 6
    x = np.random.default_rng(0).standard_normal((20_000, dim))
    found = expand(exact(np.zeros(dim), np.eye(dim)), x, seed=0)
    assert found.expansion.pair_square == pytest.approx(dim + dim * (dim + 1) / 8, rel=0.15)
    assert found.bias == pytest.approx(dim + dim * (dim + 1) / 4, rel=0.03)


def test_fewer_images_than_features_is_the_same_in_a_larger_space():
    real = Moments.of(gaussian(0, 300, 8))
    f = gaussian(1, 40, 8, shift=0.4)
    turn = np.linalg.qr(np.random.default_rng(2).standard_normal((60, 60)))[0][:8]
    wide = Moments(real.n, real.mean @ turn, turn.T @ real.m2 @ turn)
    one, other = expand(real, f, seed=3), expand(wide, f @ turn, seed=3)
    np.testing.assert_allclose(other.influence, one.influence, rtol=1e-6, atol=1e-8)
    assert other[:3] == pytest.approx(one[:3], rel=1e-6)
    assert other.expansion == pytest.approx(one.expansion, rel=1e-6)


def test_standard_error_is_that_of_the_bootstrap_far_from_zero():
    real = Moments.of(gaussian(0, 2000, 6))
    f = gaussian(1, 500, 6, shift=0.8, spread=1.4)
    metric = METRICS["fid"]
    inputs = inputs_of(real, f)
    found = metric.uncertainty(inputs, metric.compute(inputs))
    rng = np.random.default_rng(0)
    values = [
        frechet_distance(real, Moments.of(f[rng.integers(500, size=500)])).value for _ in range(400)
    ]
    assert found.standard_error == pytest.approx(np.std(values), rel=0.12)


@pytest.mark.parametrize(("shift", "spread"), [(0.0, 1.0), (0.15, 1.1), (1.0, 1.5)])
def test_fid_covers_the_population_value(shift, spread):
    """200 draws of 300 images with 10 features: bias, error and rate, at zero and away from it."""
    dim, n, draws = 10, 300, 200
    large = gaussian(9, 400_000, dim)
    real = exact(np.zeros(dim), np.cov(large.T))
    known = frechet_distance(real, exact(np.full(dim, shift), spread**2 * np.cov(large.T))).value
    found = {"fid": [], "fid_infinity": []}
    for seed in range(draws):
        inputs = inputs_of(real, gaussian(100 + seed, n, dim, shift, spread))
        for name, results in found.items():
            metric = METRICS[name]
            with contextlib.suppress(UndefinedMetric):  # a line that is off, now and then
                results.append(metric.uncertainty(inputs, metric.compute(inputs))[:4])
    assert len(found["fid"]) == draws
    assert len(found["fid_infinity"]) > 0.9 * draws
    for results in found.values():
        estimate, error, low, high = np.array(results).T
        assert estimate.mean() == pytest.approx(known, abs=0.35 * estimate.std())
        assert error.mean() == pytest.approx(estimate.std(), rel=0.25)
        assert 0.90 <= np.mean((low <= known) & (known <= high)) <= 1.0


def test_line_factors_are_those_of_random_subsets():
    """Variance of the intercept's weights over images and pairs, counted on drawn subsets."""
    sizes = [20, 60, 100]
    rng = np.random.default_rng(0)
    n = sizes[-1]
    # the intercept is linear in the values: its weights are the intercepts of unit vectors
    c = [line_in_reciprocal(sizes, row).intercept for row in np.eye(3)]
    linear, pairs = [], []
    for _ in range(400):
        weight_N, weight_NN = np.zeros(n), np.zeros((n, n))
        for ck, size in zip(c, sizes, strict=True):
            inside = np.zeros(n)
            inside[rng.permutation(n)[:size]] = 1
            weight_N += ck * inside / size
            weight_NN += ck * np.outer(inside, inside) / (size * (size - 1))
        np.fill_diagonal(weight_NN, 0)
        linear.append(n * (weight_N**2).sum())
        pairs.append(n * (n - 1) * (weight_NN**2).sum())
    assert line_factors(sizes) == pytest.approx((np.mean(linear), np.mean(pairs)), rel=0.02)
    assert line_factors(subset_sizes(1000))[0] == pytest.approx(1.34, abs=0.01)


def test_all_images_count_where_features_of_some_are_kept():
    """With a tenth of the features kept the error is that of all images, not of the tenth."""
    real = Moments.of(gaussian(0, 2000, 6))
    f = gaussian(1, 5000, 6, shift=0.5)
    metric = METRICS["fid"]
    all_kept = inputs_of(real, f)
    some_kept = dataclasses.replace(
        all_kept, fake_features=all_kept.fake_features[:1000], fake_moments_of_all=Moments.of(f)
    )
    one, other = (metric.uncertainty(i, metric.compute(i)) for i in (all_kept, some_kept))
    assert other.standard_error == pytest.approx(one.standard_error, rel=0.15)
    assert other.estimate == pytest.approx(one.estimate, abs=0.3 * one.standard_error)


def test_too_few_images_for_an_interval():
    inputs = inputs_of(Moments.of(gaussian(0, 100, 4)), gaussian(1, 99, 4))
    metric = METRICS["fid"]
    with pytest.raises(UndefinedMetric, match="100 images, got 99"):
        metric.uncertainty(inputs, metric.compute(inputs))


def test_too_few_images_for_the_features():
    """64 features of one variance: with 2 images a feature what is left of the bias is several
    standard errors, and the intercept is far off; with 12 there are intervals that hold zero.
    """
    real = exact(np.zeros(64), np.eye(64))
    for n in (128, 768):
        inputs = inputs_of(real, np.random.default_rng(0).standard_normal((n, 64)))
        for name in ("fid", "fid_infinity"):
            metric = METRICS[name]
            found = metric.compute(inputs)
            if n == 128:
                with pytest.raises(UndefinedMetric, match="128 different images are too few"):
                    metric.uncertainty(inputs, found)
            elif name == "fid":
                interval = metric.uncertainty(inputs, found)
                assert interval.low <= 0 <= interval.high
