"""The interval of the KL divergence of class shares, by simulation and at its edges."""

from __future__ import annotations

import numpy as np
import pytest

from bench.metrics.class_kl_interval import kl_interval
from bench.statistics.intervals import Z

TRAIN = np.array([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]) / 60_000
GOOD = np.array([0.116, 0.118, 0.099, 0.092, 0.102, 0.081, 0.096, 0.102, 0.099, 0.095])
POPULATIONS = {
    "good submission": GOOD,
    "same shares": TRAIN,
    "unequal": np.array([1, 2, 1, 0.5, 1, 1, 0.3, 1, 0.1, 1]),
    "a rare class": np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 0.02]),
    "two classes": np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
}


def divergence(p, q):
    used = p > 0
    return float((p[used] * np.log(p[used] / q[used])).sum())


@pytest.mark.parametrize("n", [500, 2500])
@pytest.mark.parametrize("name", POPULATIONS)
def test_holds_the_truth(name, n):
    p = POPULATIONS[name] / POPULATIONS[name].sum()
    truth = divergence(p, TRAIN)
    rng = np.random.default_rng(4)
    found = [kl_interval(rng.multinomial(n, p) / n, TRAIN, n) for _ in range(300)]
    held = np.mean([one.low <= truth + 1e-12 and truth <= one.high for one in found])
    # 2 standard errors below 0.925; the delta method reaches 0.87 for the good submission
    missing = bool((p == 0).any())  # then too wide: a class without images may be only rare
    assert 0.9 <= held <= (1 if missing else 0.99)
    assert all(one.low >= 0 and one.low <= one.estimate <= one.high for one in found)


def test_ends_are_solved_for_their_own_variance():
    """For two classes, the shares with a given divergence are known: (a, 1 - a)."""
    q, n = np.array([0.5, 0.5]), 100
    found = kl_interval(np.array([0.3, 0.7]), q, n)
    for end in (found.low, found.high):
        a = np.linspace(1e-9, 0.5, 200_001)
        values = a * np.log(2 * a) + (1 - a) * np.log(2 * (1 - a))
        a = a[np.argmin(abs(values - end))]
        variance = a * (1 - a) * np.log(a / (1 - a)) ** 2 / n + 1 / (2 * n**2)
        assert abs(end - found.estimate) == pytest.approx(Z * np.sqrt(variance), rel=1e-3)


def test_shares_that_are_closer_than_chance():
    """Exactly the shares of the reference: 0, up to what chance would allow."""
    found = kl_interval(TRAIN, TRAIN, 500)
    assert found.estimate == found.low == 0
    # u^2 - 2 Z^2 u / n - Z^2 9 / (2 n^2) = 0, since the variance grows by 2 u / n
    assert found.high == pytest.approx(Z**2 / 500 + np.sqrt(Z**4 + Z**2 * 9 / 2) / 500, rel=1e-9)
    nearly = TRAIN + np.array([1e-4, -1e-4, *np.zeros(8)])
    assert kl_interval(nearly, TRAIN, 500).high == pytest.approx(found.high, rel=0.05)


def test_one_class():
    """The lower end is close to that of the rule of three: shares of which 200 images show one
    class only with probability 0.05 have 3 / 200 in the nine others.
    """
    found = kl_interval(np.eye(10)[3], np.full(10, 0.1), 200)
    assert (found.estimate, found.high) == pytest.approx((np.log(10), np.log(10)))
    others = 3 / 200
    rule = (1 - others) * np.log((1 - others) / 0.1) + others * np.log(others / 9 / 0.1)
    assert found.low == pytest.approx(rule, abs=0.01)
