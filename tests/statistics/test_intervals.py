"""The shared statistics of intervals: by hand, from the literature and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.statistics.intervals import (
    Expansion,
    Z,
    mean_interval,
    normal_interval,
    score_interval,
    share_interval,
    standard_error,
    wilson,
)


def test_wilson_of_newcombes_examples():
    """Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3."""
    for successes, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = wilson(successes, n)
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    beyond = wilson(float(np.nextafter(50, 51)), 50)  # a sum of shares, by rounding
    assert (beyond.estimate, beyond.standard_error, beyond.high) == (1, 0, 1)


def test_standard_error_by_hand():
    # 1, 2, 3: variance 1 with divisor 2, over 3
    assert standard_error(np.array([1.0, 2, 3])) == pytest.approx(math.sqrt(1 / 3))


def test_mean_interval_solves_halls_equation():
    x = np.random.default_rng(0).exponential(size=50)
    found = mean_interval(x, 50, "m")
    s = x.std(ddof=1)
    g = ((x - x.mean()) ** 3).mean() / s**3 / math.sqrt(50)
    for bound, z in ((found.low, Z), (found.high, -Z)):
        t = (x.mean() - bound) / (s / math.sqrt(50))
        assert t + g * t**2 / 3 + g**2 * t**3 / 27 + g / 6 == pytest.approx(z)
    assert found.standard_error == pytest.approx(standard_error(x))
    assert found.high - found.estimate > found.estimate - found.low


def test_mean_interval_of_symmetric_and_of_equal_numbers():
    symmetric = mean_interval(np.array([1.0, 2, 3]), 3, "m")
    assert symmetric[:4] == pytest.approx(normal_interval(2.0, math.sqrt(1 / 3), "m")[:4])
    assert mean_interval(np.ones(5), 5, "m")[:4] == (1, 0, 1, 1)


def test_mean_interval_covers_where_few_images_make_the_mean():
    """One image in a hundred is not nearly 0: skewness about 10, 1,000 images."""
    rng = np.random.default_rng(0)
    held, plain = [], []
    for _ in range(1000):
        x = rng.random(1000) * (rng.random(1000) < 0.01)
        found = mean_interval(x, 1000, "m")
        held.append(found.low <= 0.005 <= found.high)
        plain.append(abs(x.mean() - 0.005) <= Z * standard_error(x))
    assert 0.935 < np.mean(held) < 0.99
    assert np.mean(plain) < np.mean(held)


def test_share_interval_by_hand():
    # logit(1/2) = 0; error 0.1 is 0.1 / (1/4) = 0.4 there
    found = share_interval(0.5, 0.1, 100, "m")
    assert found.low == pytest.approx(1 / (1 + math.exp(0.4 * Z)))
    assert found.high == pytest.approx(1 - found.low)
    assert found.method == "m"


def test_share_interval_without_variation_is_wilsons():
    assert share_interval(1.0, 0.0, 50, "m")[:4] == wilson(50, 50)[:4]
    assert share_interval(0.0, 0.0, 50, "m").high == wilson(0, 50).high
    assert share_interval(0.3, 0.0, 50, "m").method == "Wilson"


@given(
    p=st.floats(0, 1),
    error=st.floats(0, 10),
    n=st.integers(1, 10**6),
)
@example(p=0.9999999999999999, error=0.0, n=307)  # p n / n is another float
@example(p=2.2204482269633226e-146, error=0.0, n=125_000)
def test_share_interval_stays_inside(p, error, n):
    found = share_interval(p, error, n, "m")
    assert 0 <= found.low <= found.estimate <= found.high <= 1


def test_expansion_by_hand():
    # 5 = 9 - 4 * 10 / 10 for the first order over n = 10, and 2 * 10 / 100
    one = Expansion(influence_variance=9, pair_square=10, third=0, num=10)
    assert one.variance(10) == pytest.approx(0.5 + 0.2)
    assert one.variance(10, linear=2, pairs=3) == pytest.approx(1.0 + 0.6)
    assert one.variance(20) == pytest.approx(0.25 + 0.05)
    # a first order below zero is noise: no less than half of the second
    assert Expansion(0, 10, 0, 10).variance(10) == pytest.approx(0.1)


def squared_mean(x_RN):
    """The U-statistic mean_{i != j} x_i x_j, which estimates mu^2, and its expansion: influence
    2 m (x - m), h(x, y) = (x - m)(y - m), of unit variance up to sampling.
    """
    n = x_RN.shape[1]
    m = x_RN.mean(axis=1)
    s2 = x_RN.var(axis=1, ddof=1)
    third = ((x_RN - m[:, None]) ** 3).mean(axis=1)
    return m**2 - s2 / n, [
        Expansion(4 * a**2 * b, b**2, 8 * a**3 * c + 16 * a**2 * b**2, n)
        for a, b, c in zip(m, s2, third, strict=True)
    ]


@pytest.mark.parametrize("mu", [0.0, 0.05, 0.3, 2.0])
def test_variance_and_coverage_of_a_statistic_that_degenerates_at_zero(mu):
    rng = np.random.default_rng(0)
    n, draws = 200, 3000
    value, expansions = squared_mean(mu + rng.standard_normal((draws, n)))
    variance = np.array([e.variance(n) for e in expansions])
    # at zero, where the first order is noise cut off from below, too large; never too small
    for true in (4 * mu**2 / n + 2 / n**2, value.var()):
        assert 0.95 < variance.mean() / true < (1.8 if mu < 0.1 else 1.05)
    held = [
        found.low <= mu**2 <= found.high
        for found in (
            score_interval(v, s, e, n, "m")
            for v, s, e in zip(value, variance, expansions, strict=True)
        )
    ]
    # one direction is the most skewed case there is: chi-squared with one degree of freedom
    assert np.mean(held) > 0.91


@given(
    estimate=st.floats(-10, 10),
    variance=st.floats(0, 100),
    third=st.floats(-100, 100),
    n=st.integers(2, 1000),
)
def test_score_interval_solves_its_equation(estimate, variance, third, n):
    found = score_interval(estimate, variance, Expansion(0, 0, third, n), n, "m")
    assert found.low <= estimate <= found.high
    if variance > 1e-6:
        error = math.sqrt(variance)
        slope = min(max(0.5 * third / n**2 / variance, -(8**0.5) * error), 8**0.5 * error)
        for t in (found.low - estimate, found.high - estimate):
            assert t**2 == pytest.approx(Z**2 * (variance + slope * t), rel=1e-6, abs=1e-6)


def test_score_interval_without_slope_is_symmetric():
    flat = score_interval(1.0, 0.04, Expansion(0, 0, 0, 10), 10, "m")
    assert flat[:4] == pytest.approx(normal_interval(1.0, 0.2, "m")[:4])
