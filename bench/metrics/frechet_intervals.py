"""Intervals of the Fréchet distance and of its extrapolation, for infinitely many images.

For `fid`, the estimate is the value less its bias by the second-order expansion of
`bench.metrics.frechet_expansion`. That leaves an error of order 1/n^2, which is removed by the
same expansion at half the size. For `fid_infinity` it is the intercept itself. Both have the
variance of the influence values plus that of the pairs of images. Near zero, where influence
vanishes, the pairs are all of it, so no bootstrap is needed there; the tests compare with one.

The error that remains after the correction of FID is taken as its second term times the ratio of
the second to the first, and added to the variance. Where it exceeds a standard error there is no
interval. That happens with few images for many features of similar variance (below 3 to 4 images
a feature in the worst case, far fewer on digits). There is also no interval around an intercept
that lies 2.5 standard errors from the corrected value: then the points lie on no line in 1/n.

An estimate near zero may be negative, as an unbiased estimate of a small number must be.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bench.metrics.base import MetricInputs, MetricValue, UndefinedMetric
from bench.statistics.intervals import Uncertainty, score_interval

if TYPE_CHECKING:
    from bench.metrics.frechet_expansion import FrechetExpansion

LEAST_IMAGES = 100
MAX_FEATURE = 1e60  # products of four of them are finite
MAX_LEFT = 1.0  # standard errors of bias that may remain after the correction
MAX_APART = 2.5  # standard errors between the intercept and the corrected value
# The halves contain only pairs of images of the same half: 4/3 of the pairs across, 2/3 within.
PAIR_FACTOR = ((4 / 3) ** 2 + (2 / 3) ** 2) / 2


def fid_interval(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    """Return the interval of FID for infinitely many images around the bias-corrected value."""
    n = inputs.independent(inputs.num_fake)
    expansion = _expansion(inputs)
    first, second = expansion.bias / n, expansion.curvature / n**2
    left = second**2 / first if first > 0 else 0.0
    parts = expansion.expansion
    variance = parts.variance(n, pairs=PAIR_FACTOR)
    if left > MAX_LEFT * math.sqrt(variance):
        raise UndefinedMetric(
            f"{n:.0f} different images are too few for these features to correct the bias"
        )
    return score_interval(
        found.value - first - second,
        variance + left**2,
        parts,
        n,
        "bias-corrected, second-order delta",
    )


def fid_infinity_interval(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    """Return the interval of FID for infinitely many images around the intercept."""
    sizes = found.details["sizes"]
    assert isinstance(sizes, list)  # noqa: S101  (the metric sets it)
    expansion = _expansion(inputs)
    parts, num = expansion.expansion, max(int(size) for size in sizes)
    n = inputs.independent(num)
    linear, pairs = line_factors([int(size) for size in sizes])
    variance = parts.variance(n, linear=linear, pairs=pairs)
    corrected = expansion.value - expansion.bias / n - expansion.curvature / n**2
    # copies add the same bias at every size, which the line cannot remove
    intercept = found.value - expansion.bias * (1 / n - 1 / num)
    if abs(intercept - corrected) > MAX_APART * math.sqrt(variance):
        raise UndefinedMetric(
            f"{n:.0f} different images are too few for these features: FID does not lie on a line "
            "in 1/n"
        )
    return score_interval(intercept, variance, parts, n, "intercept, second-order delta")


def _expansion(inputs: MetricInputs) -> FrechetExpansion:
    """Return the expansion of FID. Raises `UndefinedMetric` where no interval can be computed."""
    num = len(inputs.fake_features)
    if num < LEAST_IMAGES:
        raise UndefinedMetric(f"an interval of FID needs {LEAST_IMAGES} images, got {num}")
    if not float(abs(inputs.fake_features).max()) < MAX_FEATURE or inputs.real_moments.n < 2:
        raise UndefinedMetric("the features are too large for an interval of FID")
    expansion = inputs.frechet_expansion
    if not _is_finite(expansion):
        raise UndefinedMetric("the interval of FID overflows")
    return expansion


def line_factors(sizes: list[int]) -> tuple[float, float]:
    """Return the factors by which extrapolation raises the variances of first and second order.

    The line goes through values at 1 / `sizes`, of independent random subsets of the largest size
    n. With the weights c_k of its intercept, an image is in subset k with probability n_k / n:
    sum_kl c_k c_l + sum_k c_k^2 (n / n_k - 1), and for pairs of images the same with squares.
    """
    n = max(sizes)
    x = 1 / np.asarray(sizes, np.float64)
    centred = x - x.mean()
    c = 1 / len(x) - x.mean() * centred / (centred @ centred)
    ones = n * x
    pairs = n * (n - 1) / np.asarray([max(size * (size - 1), 1) for size in sizes])
    return float(1 + (c**2 * (ones - 1)).sum()), float(1 + (c**2 * (pairs - 1)).sum())


def _is_finite(found: FrechetExpansion) -> bool:
    """Return whether nothing overflowed."""
    numbers = (found.value, found.bias, found.curvature, *found.expansion)
    return all(math.isfinite(number) for number in numbers)
