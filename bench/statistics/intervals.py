"""Confidence intervals of metrics, for the draw of a submission's images.

The reference is the yardstick: it is held fixed, and an interval says where the value would lie if
the same generator drew as many images again, bias removed where the metric has one. Two
submissions against one reference are independent draws, so their difference has the variance of
the one plus that of the other.

Shape legend: N samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri  # scipy.stats is slow to import

LEVEL = 0.95
Z = float(ndtri(0.5 + LEVEL / 2))
SYMMETRIC = 1e-6  # skewness of a mean, below which it has none
MIN_SLACK = 1e-12  # of p (1 - p), below which a logit is all rounding

MAX_SLOPE = math.sqrt(8)


class Uncertainty(NamedTuple):
    """An interval of `LEVEL` around `estimate`, the value less its bias, and how it was made."""

    estimate: float
    standard_error: float
    low: float
    high: float
    method: str


def normal_interval(estimate: float, standard_error: float, method: str) -> Uncertainty:
    """`estimate` plus and minus `Z` standard errors."""
    half = Z * standard_error
    return Uncertainty(estimate, standard_error, estimate - half, estimate + half, method)


def wilson(successes: float, n: int) -> Uncertainty:
    """Interval of a share of `n` (Wilson 1927): never empty, never beyond 0 and 1."""
    p = min(max(successes / n, 0.0), 1.0)  # a share that was summed up may pass 1 by rounding
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    # at 0 and 1 the nearer bound is the estimate itself, up to rounding
    low, high = min(max(centre - half, 0.0), p), max(min(centre + half, 1.0), p)
    return Uncertainty(p, math.sqrt(p * (1 - p) / n), low, high, "Wilson")


def standard_error(influence_N: NDArray[np.floating]) -> float:
    """Standard error of the mean of N independent influence values, N >= 2."""
    return float(influence_N.std(ddof=1)) / math.sqrt(len(influence_N))


def mean_interval(x_N: NDArray[np.floating], n: int, method: str) -> Uncertainty:
    """Interval of the mean of `n` independent numbers, of which `x_N` (2 or more) are at hand.

    Hall's transformation (Hall, JRSS B 1992) takes the skewness out of the studentised mean: where
    one image in a hundred makes the mean, a symmetric interval misses from one side.
    """
    mean, deviation = float(x_N.mean()), float(x_N.std(ddof=1))
    error = deviation / math.sqrt(n)
    if error <= 0 or not math.isfinite(error):
        return Uncertainty(mean, error, mean, mean, method)
    skewness = float(np.mean(((x_N - mean) / deviation) ** 3))

    def studentised(z: float) -> float:
        """The t of which t + g t^2 / 3 + g^2 t^3 / 27 + g / 6 = z for g = skewness / sqrt(n)."""
        g = skewness / math.sqrt(n)
        if abs(g) < SYMMETRIC:
            return z
        return float((np.cbrt(1 + g * (z - g / 6)) - 1) / (g / 3))

    low, high = mean - error * studentised(Z), mean - error * studentised(-Z)
    return Uncertainty(mean, error, min(low, mean), max(high, mean), method)


def share_interval(estimate: float, error: float, n: int, method: str) -> Uncertainty:
    """Interval of a number in [0, 1] on the logit scale, so that it stays inside. Where nothing
    varied, that of a share of `n`.
    """
    slack = estimate * (1 - estimate)
    if error <= 0 or slack <= MIN_SLACK:
        found = wilson(min(max(estimate, 0.0), 1.0) * n, n)
        low, high = min(found.low, estimate), max(found.high, estimate)  # p n / n may round
        return Uncertainty(estimate, max(error, 0.0), low, high, found.method)
    centre, half = math.log(estimate / (1 - estimate)), Z * error / slack
    low, high = float(expit(centre - half)), float(expit(centre + half))
    return Uncertainty(estimate, error, min(low, estimate), max(high, estimate), method)


class Expansion(NamedTuple):
    """A statistic of n independent images to second order,

        value + mean_i IF(x_i) + sum_ij h(x_i, x_j) / n^2,

    with what is needed of it, measured on `num` images: the variance of the influence values IF
    as estimated (which holds 4 E h^2 / num of the second order), E h^2 over pairs, and
    E IF^3 + 4 E IF(x) IF(y) h(x, y).
    """

    influence_variance: float
    pair_square: float
    third: float
    num: int

    def variance(self, n: int, *, linear: float = 1.0, pairs: float = 1.0) -> float:
        """Variance of the statistic of `n` images, without the terms i = j. `linear` and `pairs`
        are the factors by which an estimator raises the variance of the two orders.

        For n = num and no first order this is half of what influence values alone give. The
        difference of two noisy numbers is kept above half of the second order.
        """
        second = 2 * pairs * self.pair_square / n**2
        first = linear * (self.influence_variance - 4 * self.pair_square / self.num) / n
        return max(first + second, second / 2)


def score_interval(
    estimate: float, variance: float, expansion: Expansion, n: int, method: str
) -> Uncertainty:
    """The values t with (t - estimate)^2 <= Z^2 V(t), as Wilson's interval of a share.

    A small estimate of a distance comes with a small estimate of its variance, so that a symmetric
    interval misses from below. To first order V(t) = variance + b (t - estimate), b the covariance
    of the two estimates over the variance. That covariance is `third` / n^2 away from zero; at
    zero the influence values, being estimates, make it twice what it is. Half of it is taken
    everywhere: where it is too little it hardly matters. At zero b is at most 8^(1/2) standard
    errors (one chi-squared variable), and is kept there.
    """
    error = math.sqrt(variance)
    slope = 0.5 * expansion.third / n**2 / variance if variance > 0 else 0.0
    centre = Z**2 * min(max(slope, -MAX_SLOPE * error), MAX_SLOPE * error) / 2
    half = math.hypot(centre, Z * error)
    return Uncertainty(estimate, error, estimate + centre - half, estimate + centre + half, method)


class Difference(NamedTuple):
    """New less base with its interval of `LEVEL`, and the two-sided p-value of no difference."""

    estimate: float
    low: float
    high: float
    p_value: float


def difference(base: Uncertainty, new: Uncertainty) -> Difference:
    """The difference of two independent estimates from their intervals (Zou and Donner 2008): the
    sum of variances for symmetric intervals, Newcombe's hybrid (1998, method 10) for Wilson's.
    The p-value is that of a normal with the width that the interval has towards zero.
    """
    estimate = new.estimate - base.estimate
    below = math.hypot(new.estimate - new.low, base.high - base.estimate)
    above = math.hypot(new.high - new.estimate, base.estimate - base.low)
    towards_zero = below if estimate > 0 else above
    if towards_zero == 0:
        p_value = 1.0 if estimate == 0 else 0.0
    else:
        p_value = 2 * float(ndtr(-Z * abs(estimate) / towards_zero))
    return Difference(estimate, estimate - below, estimate + above, p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number (Holm 1979), in the order given: those below a level are
    rejected at that family-wise level.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    order = sorted(range(len(p_values)), key=lambda position: p_values[position])
    for step, position in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - step) * p_values[position]))
        adjusted[position] = largest
    return adjusted
