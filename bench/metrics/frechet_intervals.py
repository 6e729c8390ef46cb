"""Intervals of the Fréchet distance and of its extrapolation, for infinitely many images.

`fid`: the estimate is the value less its bias, by the second-order expansion and, since that
leaves an error of order 1/n^2, by the same at half the size. `fid_infinity`: the intercept itself.
Both have the variance of the influence values plus that of the pairs of images, which is all there
is near zero, where influence vanishes. So no bootstrap is needed there; the tests compare with one.

What the correction of FID leaves is taken as its second term times the ratio of the second to the
first, and carried along. Where that is more than a standard error (few images for many features of
like variance: under 3 to 4 images a feature in the worst case, far fewer on digits), there is no
interval. Nor is there one around an intercept that lies 2.5 of its standard errors from the
corrected value: then the points are on no line in 1/n.

An estimate near zero may be negative, as an unbiased estimate of a small number must be.
"""

from __future__ import annotations

import math

from bench.metrics.base import MetricInputs, MetricValue, UndefinedMetric
from bench.metrics.frechet_expansion import FrechetExpansion, is_finite, line_factors
from bench.statistics.intervals import Uncertainty, score_interval

LEAST_IMAGES = 100
MAX_FEATURE = 1e60  # products of four of them are finite
MAX_LEFT = 1.0  # standard errors that the bias correction may leave
MAX_APART = 2.5  # standard errors of the intercept to the corrected value
# The halves hold pairs of images of the same half alone: 4/3 of the pairs across, 2/3 within.
PAIR_FACTOR = ((4 / 3) ** 2 + (2 / 3) ** 2) / 2


def fid_interval(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    """Interval of FID for infinitely many images around the bias-corrected value."""
    n = inputs.num_fake
    expansion = _expansion(inputs)
    first, second = expansion.bias / n, expansion.curvature / n**2
    left = second**2 / first if first > 0 else 0.0
    parts = expansion.expansion
    variance = parts.variance(n, pairs=PAIR_FACTOR)
    if left > MAX_LEFT * math.sqrt(variance):
        raise UndefinedMetric(f"{n} images are too few for these features to correct the bias")
    return score_interval(
        found.value - first - second,
        variance + left**2,
        parts,
        n,
        "bias-corrected, second-order delta",
    )


def fid_infinity_interval(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    """Interval of FID for infinitely many images around the intercept."""
    sizes = found.details["sizes"]
    assert isinstance(sizes, list)  # noqa: S101  (as the metric gives it)
    expansion = _expansion(inputs)
    parts, n = expansion.expansion, max(int(size) for size in sizes)
    linear, pairs = line_factors([int(size) for size in sizes])
    variance = parts.variance(n, linear=linear, pairs=pairs)
    corrected = expansion.value - expansion.bias / n - expansion.curvature / n**2
    if abs(found.value - corrected) > MAX_APART * math.sqrt(variance):
        raise UndefinedMetric(
            f"{n} images are too few for these features: FID is on no line in 1/n"
        )
    return score_interval(found.value, variance, parts, n, "intercept, second-order delta")


def _expansion(inputs: MetricInputs) -> FrechetExpansion:
    num = len(inputs.fake_features)
    if num < LEAST_IMAGES:
        raise UndefinedMetric(f"an interval of FID needs {LEAST_IMAGES} images, got {num}")
    if not float(abs(inputs.fake_features).max()) < MAX_FEATURE or inputs.real_moments.n < 2:
        raise UndefinedMetric("the features are too large for an interval of FID")
    expansion = inputs.frechet_expansion
    if not is_finite(expansion):
        raise UndefinedMetric("the interval of FID overflows")
    return expansion
