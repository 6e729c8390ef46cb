"""Power of t tests and the number of seeds needed, from the noncentral t distribution.

An estimate over its standard error follows a noncentral t distribution, with the true effect over
the true standard error as noncentrality. Power is the probability of |t| beyond the critical value.
It grows with the number of seeds S through the standard error, which falls as 1 / sqrt(S), and
through the degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.optimize import brentq
from scipy.special import nctdtr, ndtr, ndtri, stdtrit

from bench.statistics.intervals import LEVEL

POWER = 0.8
MAX_SEEDS = 10_000
MANY_DF = 1e6  # from here on t is normal to all digits shown


def power(noncentrality: float, df: float, alpha: float = 1 - LEVEL) -> float:
    """Return the probability that a two-sided t test of level alpha rejects."""
    delta = abs(noncentrality)
    if df > MANY_DF:
        critical = float(ndtri(1 - alpha / 2))
        return float(ndtr(delta - critical) + ndtr(-critical - delta))
    critical = float(stdtrit(df, 1 - alpha / 2))
    return 1 - _nct_cdf(critical, df, delta) + _nct_cdf(-critical, df, delta)


def seeds_needed(
    effect: float,
    unit_error: float,
    df: Callable[[int], float],
    *,
    target: float = POWER,
    alpha: float = 1 - LEVEL,
) -> int | None:
    """Return the smallest number of seeds with which an effect is found with probability `target`;
    None if more than `MAX_SEEDS` would be needed.

    `unit_error` is the standard error with one seed, `df(seeds)` the degrees of freedom.
    """
    if effect == 0:
        return None
    if unit_error == 0:
        return 2

    def enough(seeds: int) -> bool:
        ncp = abs(effect) * math.sqrt(seeds) / unit_error
        return df(seeds) > 0 and power(ncp, df(seeds), alpha) >= target

    if not enough(MAX_SEEDS):
        return None
    low, high = 1, MAX_SEEDS  # not enough (one seed has no variance), enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def detectable(
    standard_error: float, df: float, *, target: float = POWER, alpha: float = 1 - LEVEL
) -> float:
    """Return the smallest effect that is found with probability `target` at this standard error."""
    upper = 2.0
    while power(upper, df, alpha) < target:
        upper *= 2
    found = brentq(lambda ncp: power(ncp, df, alpha) - target, 0.0, upper)
    return float(found) * standard_error


def standardised_bounds(t: float, df: float, level: float = LEVEL) -> tuple[float, float]:
    """Return the interval of the noncentrality of an observed t (Steiger & Fouladi 1997): the
    values under which a t this large, or this small, has probability (1 - level) / 2.
    """
    tail = (1 - level) / 2
    width = 10.0 + 3 * abs(t)

    def bound(chance: float) -> float:
        if df > MANY_DF:
            return t - float(ndtri(chance))
        found = brentq(lambda ncp: _nct_cdf(t, df, ncp) - chance, t - width, t + width)
        return float(found)

    return bound(1 - tail), bound(tail)


def _nct_cdf(t: float, df: float, noncentrality: float) -> float:
    """Return the distribution function; 0 or 1 in the far tails, where scipy's may be NaN."""
    found = float(nctdtr(df, noncentrality, t))
    if math.isnan(found):
        return 0.0 if noncentrality > t else 1.0
    return min(max(found, 0.0), 1.0)
