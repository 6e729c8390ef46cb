"""Confidence intervals of metrics, for the draw of a submission's images.

The reference is the yardstick: it is held fixed, and an interval says where the value would lie if
the same generator drew as many images again, bias removed where the metric has one. Two
submissions against one reference are independent draws, so their difference has the variance of
the one plus that of the other.

Shape legend: N samples.
"""

from __future__ import annotations

from typing import NamedTuple

from scipy.stats import norm

LEVEL = 0.95
Z = float(norm.ppf(0.5 + LEVEL / 2))


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
