"""Density and coverage: how densely the folder sits among the reals, how many reals it reaches.

The ball of a real image reaches to its 5th nearest real neighbour, itself excluded; its surface
does not belong to it (`<`). Density is the mean number of real balls that hold a fake, over k; it
can exceed 1. Coverage is the share of real balls that hold a fake.

Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models, ICML 2020.
Agrees with the authors' prdc 0.2 to a count, up to pairs within rounding of a ball's surface.

For two samples of one distribution the expected density is 1 (a fake lies in a real's ball with
probability k / N) and the expected coverage 1 - C(N-1, k) / C(N+M-1, k) (among N+M-1
neighbours of a real in random order the k nearest are not all real; for N = M about 1 - 2^-k).
"""

from __future__ import annotations

import math

import numpy as np

from bench.metrics.base import Metric, MetricInputs, MetricValue, Sizes, UndefinedMetric
from bench.neighbours import K_NEAREST, NeighbourPass


def density(neighbours: NeighbourPass) -> float:
    """Mean count of real balls around a fake, over k: 0 or more, 1 expected.
    Raises `UndefinedMetric` with 5 reals or fewer.
    """
    _check_count("density_k5", len(neighbours.in_fake_ball))
    return float(neighbours.num_real_balls.mean()) / K_NEAREST


def coverage(neighbours: NeighbourPass) -> float:
    """Share in [0, 1] of real balls that hold a fake.
    Raises `UndefinedMetric` with 5 reals or fewer.
    """
    _check_count("coverage_k5", len(neighbours.in_fake_ball))
    radius_N = neighbours.real_nearest.distances[:, K_NEAREST - 1]
    return float(np.mean(neighbours.real_to_fake.distances[:, 0] < radius_N))


def expected_coverage(n_real: int, n_fake: int, k: int = K_NEAREST) -> float:
    """Expected coverage of two samples of one continuous distribution.
    Raises `UndefinedMetric` with k reals or fewer.
    """
    _check_count("coverage_k5", n_real, k)
    return 1 - math.comb(n_real - 1, k) / math.comb(n_real + n_fake - 1, k)


def _check_count(name: str, num: int, k: int = K_NEAREST) -> None:
    if num <= k:
        raise UndefinedMetric(f"{name} needs more than {k} real images, got {num}")


def _density(inputs: MetricInputs) -> MetricValue:
    return MetricValue(density(inputs.neighbours))


def _coverage(inputs: MetricInputs) -> MetricValue:
    return MetricValue(coverage(inputs.neighbours))


def _expected_coverage(sizes: Sizes) -> float:
    return expected_coverage(sizes.n_real, sizes.n_fake)


def _expected_density(_: Sizes) -> float:
    return 1.0


DENSITY = Metric(
    name="density_k5",
    title="Density",
    compute=_density,
    reads=frozenset({"features"}),
    direction="target",
    unit="balls / k",
    citation="Naeem et al. 2020, arXiv:2002.09797",
    expected=_expected_density,
    constants={"k": K_NEAREST, "membership": "<"},
)

COVERAGE = Metric(
    name="coverage_k5",
    title="Coverage",
    compute=_coverage,
    reads=frozenset({"features"}),
    direction="higher",
    unit="share",
    citation="Naeem et al. 2020, arXiv:2002.09797",
    expected=_expected_coverage,
    constants={"k": K_NEAREST, "membership": "<"},
)
