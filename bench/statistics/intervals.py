"""Confidence intervals of metrics, for the draw of a submission's images.

The reference is held fixed. An interval says where the value would lie if the same generator drew
the same number of images again, without the bias of the metric where that is known. Two
submissions scored against one reference are independent draws, so the variance of their difference
is the sum of their variances.

Shape legend: N samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
Z = 1.959963984540054  # normal quantile of 0.5 + LEVEL / 2; the literal spares an import of SciPy
SYMMETRIC = 1e-6  # a mean with a smaller skewness is treated as symmetric
MIN_SLACK = 1e-12  # of p (1 - p); below it a logit is all rounding
MAX_EXPONENT = math.log(np.finfo(np.float64).max)

MAX_SLOPE = math.sqrt(8)


class Uncertainty(NamedTuple):
    """An interval of `LEVEL` around `estimate`, the value less its bias, and the method's name."""

    estimate: float
    standard_error: float
    low: float
    high: float
    method: str


def normal_interval(estimate: float, standard_error: float, method: str) -> Uncertainty:
    """Return the interval of `estimate` plus and minus `Z` standard errors.

    >>> normal_interval(10.0, 1.0, "by hand")[2:4]
    (8.040036015459947, 11.959963984540053)
    """
    half = Z * standard_error
    return Uncertainty(estimate, standard_error, estimate - half, estimate + half, method)


def wilson(successes: float, n: float) -> Uncertainty:
    """Return Wilson's interval (1927) of the share `successes` / `n`.

    It is never empty and stays within 0 and 1. `n` may be an effective number of images.

    >>> [round(number, 4) for number in wilson(8, 10)[:4]]
    [0.8, 0.1265, 0.4902, 0.9433]
    """
    p = min(max(successes / n, 0.0), 1.0)  # a sum of shares may exceed 1 by rounding
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    # at 0 and 1 the nearer bound is the estimate itself, up to rounding
    low, high = min(max(centre - half, 0.0), p), max(min(centre + half, 1.0), p)
    return Uncertainty(p, math.sqrt(p * (1 - p) / n), low, high, "Wilson")


def at_least(found: Uncertainty, least: float) -> Uncertainty:
    """Return the interval of a number that cannot be smaller than `least`.

    An unbiased estimate of a distance may be negative. It is then moved to `least` with its upper
    end, so that the interval is never empty and keeps its width above. This can only raise the
    share of intervals that hold the true number.

    >>> at_least(Uncertainty(-2.0, 1.0, -4.0, -0.5, "by hand"), 0.0)[:4]
    (0.0, 1.0, 0.0, 1.5)
    """
    shift = max(least - found.estimate, 0.0)
    return found._replace(
        estimate=found.estimate + shift, low=max(found.low, least), high=found.high + shift
    )


def standard_error(influence_N: NDArray[np.floating]) -> float:
    """Return the standard error of the mean of N >= 2 independent influence values.

    >>> round(standard_error(np.array([1.0, 2, 3, 4])) ** 2, 6)  # variance 5 / 3, over 4
    0.416667
    """
    return float(influence_N.std(ddof=1)) / math.sqrt(len(influence_N))


def mean_interval(x_N: NDArray[np.floating], n: float, method: str) -> Uncertainty:
    """Return the interval of the mean of `n` independent numbers, from a sample `x_N` (N >= 2).

    `n` may be an effective number.

    Hall's transformation (JRSS B 1992) removes the skewness from the studentised mean. Where one
    image in a hundred determines the mean, a symmetric interval would miss on one side.
    """
    mean, deviation = float(x_N.mean()), float(x_N.std(ddof=1))
    error = deviation / math.sqrt(n)
    if error <= 0 or not math.isfinite(error):
        return Uncertainty(mean, error, mean, mean, method)
    skewness = float(np.mean(((x_N - mean) / deviation) ** 3))

    def studentised(z: float) -> float:
        """Solve t + g t^2 / 3 + g^2 t^3 / 27 + g / 6 = z for t, with g = skewness / sqrt(n)."""
        g = skewness / math.sqrt(n)
        if abs(g) < SYMMETRIC:
            return z
        return float((np.cbrt(1 + g * (z - g / 6)) - 1) / (g / 3))

    low, high = mean - error * studentised(Z), mean - error * studentised(-Z)
    return Uncertainty(mean, error, min(low, mean), max(high, mean), method)


def share_interval(estimate: float, error: float, n: int, method: str) -> Uncertainty:
    """Return the interval of a number in [0, 1] on the logit scale, so that it stays inside.

    Without any variation it is Wilson's interval of a share of `n`.

    >>> [round(number, 4) for number in share_interval(0.9, 0.05, 100, "by hand")[2:4]]
    [0.7518, 0.9639]
    """
    slack = estimate * (1 - estimate)
    if error <= 0 or slack <= MIN_SLACK:
        found = wilson(min(max(estimate, 0.0), 1.0) * n, n)
        low, high = min(found.low, estimate), max(found.high, estimate)  # p n / n may round
        return Uncertainty(estimate, max(error, 0.0), low, high, found.method)
    centre, half = math.log(estimate / (1 - estimate)), Z * error / slack
    low, high = _expit(centre - half), _expit(centre + half)
    return Uncertainty(estimate, error, min(low, estimate), max(high, estimate), method)


def _expit(x: float) -> float:
    """Return the logistic function of `x`, as `scipy.special.expit` does to the bit."""
    return 1 / (1 + math.exp(-x)) if -x <= MAX_EXPONENT else 0.0


class Expansion(NamedTuple):
    """A statistic of n independent images to second order,

        value + mean_i IF(x_i) + sum_ij h(x_i, x_j) / n^2,

    and the moments of it that a variance needs, measured on `num` images: the variance of the
    influence values IF as estimated (which contains 4 E h^2 / num of the second order), E h^2 over
    pairs, and E IF^3 + 4 E IF(x) IF(y) h(x, y).
    """

    influence_variance: float
    pair_square: float
    third: float
    num: int

    def variance(self, n: float, *, linear: float = 1.0, pairs: float = 1.0) -> float:
        """Return the variance of the statistic of `n` images, without the terms i = j.

        `linear` and `pairs` are the factors by which an estimator raises the variance of the two
        orders. For n = num and no first order, the result is half of what influence values alone
        give. The difference of two noisy numbers is kept above half of the second order.

        >>> Expansion(1.0, 0.0, 0.0, 100).variance(50)  # an ordinary mean
        0.02
        """
        second = 2 * pairs * self.pair_square / n**2
        first = linear * (self.influence_variance - 4 * self.pair_square / self.num) / n
        return max(first + second, second / 2)


def score_interval(
    estimate: float, variance: float, expansion: Expansion, n: float, method: str
) -> Uncertainty:
    """Return the values t with (t - estimate)^2 <= Z^2 V(t), as Wilson's interval does for a share.

    A small estimate of a distance comes with a small estimate of its variance, so a symmetric
    interval misses from below. To first order V(t) = variance + b (t - estimate), where b is the
    covariance of the two estimates over the variance. That covariance is `third` / n^2 away from
    zero; at zero the influence values, being estimates, make it twice as large as it is. Half of
    it is taken everywhere, since it hardly matters where that is too little. At zero b is at most
    8^(1/2) standard errors (one chi-squared variable), and is limited to that.
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
    """Return the difference of two independent estimates from their intervals.

    The method is that of Zou and Donner (2008): the sum of variances for symmetric intervals,
    Newcombe's hybrid (1998, method 10) for Wilson's. The p-value is that of a normal distribution
    with the width of the interval on the side of zero.

    >>> found = difference(wilson(48, 80), wilson(56, 70))  # Newcombe 1998, table II, (a)
    >>> round(found.low, 4), round(found.high, 4)
    (0.0524, 0.3339)
    """
    from scipy.special import ndtr

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
    """Return p-values adjusted for their number (Holm 1979), in the order given.

    Rejecting those below a level keeps the family-wise error at that level.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    order = sorted(range(len(p_values)), key=lambda position: p_values[position])
    for step, position in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - step) * p_values[position]))
        adjusted[position] = largest
    return adjusted
