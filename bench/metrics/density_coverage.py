"""Density and coverage: how densely real images surround the folder's, and the share it reaches.

The ball of a real image reaches to its 5th nearest real neighbour, itself excluded; its surface
does not belong to it (`<`). Density is the mean number of real balls that hold a fake, over k, and
can exceed 1. Coverage is the share of real balls that hold a fake.

Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models, ICML 2020
(arXiv:2002.09797). Agrees with the authors' prdc 0.2 to a count, except for pairs within rounding
of a ball's surface.

For two samples of one distribution the expected density is 1 (a fake lies in a real's ball with
probability k / N), and the expected coverage is 1 - C(N-1, k) / C(N+M-1, k): among N+M-1
neighbours of a real in random order, the k nearest are not all real. For N = M that is about
1 - 2^-k.

Density is a mean over fakes and has the standard error of a mean. Coverage has high orders: a ball
of five fakes becomes empty only when all five are removed, so a delete-one jackknife gives up to
twice the variance. Its variance at a share q of the fakes is known without bias from the sets of
fakes that the balls hold: with a and b fakes in one of two balls only, and c > 0 in both, these
add (1-q)^(a+b) ((1-q)^c - (1-2q)^c). At q = 1 that is too noisy; it is computed at 0.6, 0.7 and
0.8 and extrapolated to 1 by a parabola in its logarithm. That is for a varying number of fakes
(Poisson); its contribution, the square of the number of reals that hold one fake over M, is
subtracted.

Shape legend: N reals, M fakes, k neighbours, P pairs of balls.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bench.metrics.base import Metric, MetricInputs, MetricValue, Sizes, UndefinedMetric
from bench.statistics.intervals import Uncertainty, mean_interval, share_interval, wilson
from bench.statistics.neighbours.results import K_NEAREST, NeighbourPass

THINNED = (0.6, 0.7, 0.8)  # shares q of the fakes
MAX_EMPTY = 0.05  # share of real balls of radius 0, which count as never reached
MAX_PAIRS = 2e7  # of balls that share a fake: 300 MB


def density(neighbours: NeighbourPass) -> float:
    """Return the mean number of real balls around a fake, over k: 0 or more, 1 expected.

    Raises `UndefinedMetric` with 5 reals or fewer.
    """
    _check_count("density_k5", len(neighbours.in_fake_ball))
    return float(neighbours.num_real_balls.mean()) / K_NEAREST


def coverage(neighbours: NeighbourPass) -> float:
    """Return the share in [0, 1] of real balls that hold a fake.

    Raises `UndefinedMetric` with 5 reals or fewer.
    """
    _check_count("coverage_k5", len(neighbours.in_fake_ball))
    radius_N = neighbours.real_nearest.distances[:, K_NEAREST - 1]
    return float(np.mean(neighbours.real_to_fake.distances[:, 0] < radius_N))


def expected_coverage(n_real: int, n_fake: int, k: int = K_NEAREST) -> float:
    """Return the expected coverage of two samples of one continuous distribution.

    Raises `UndefinedMetric` with k reals or fewer.

    >>> [round(expected_coverage(n, n), 6) for n in (500, 1000, 10_000)]
    [0.969218, 0.968984, 0.968773]
    """
    _check_count("coverage_k5", n_real, k)
    return 1 - math.comb(n_real - 1, k) / math.comb(n_real + n_fake - 1, k)


def coverage_variance(
    held_NK: NDArray[np.bool_], fakes_NK: NDArray[np.int64], num_fakes: int
) -> float | None:
    """Return the variance of coverage over draws of the fakes.

    `held_NK` says whether each of the nearest fakes of a real, `fakes_NK`, lies in its ball. A
    ball that holds all listed fakes is skipped, since it is hardly ever empty. The result is None
    when very many balls share a fake.
    """
    from scipy.sparse import csr_array

    count_N = held_NK.sum(axis=1)
    open_N = (count_N > 0) & ((count_N < K_NEAREST) | (held_NK.shape[1] < K_NEAREST))
    rows, columns = np.nonzero(held_NK & open_N[:, None])
    fakes, columns = np.unique(fakes_NK[rows, columns], return_inverse=True)
    if (np.bincount(columns).astype(np.float64) ** 2).sum() > MAX_PAIRS:
        return None
    balls = csr_array(
        (np.ones(len(rows)), (rows, columns)), shape=(len(held_NK), max(len(fakes), 1))
    )
    shared = (balls @ balls.T).tocoo()
    both_P = shared.data
    apart_P = count_N[shared.row] + count_N[shared.col] - 2 * both_P
    thinned = [
        float(((1 - q) ** apart_P * ((1 - q) ** both_P - (1 - 2 * q) ** both_P)).sum())
        for q in THINNED
    ]
    by_number = float((count_N == 1).sum()) ** 2 / num_fakes
    return max(_extrapolated(thinned) - by_number, 0.0) / len(held_NK) ** 2


def _extrapolated(values: list[float]) -> float:
    """Extrapolate three values at even steps by two steps, as exp of a parabola.

    The result is the last value when one is not positive.
    """
    if min(values) <= 0:
        return max(values[-1], 0.0)
    a, b, c = np.log(values)
    return float(np.exp(3 * a - 8 * b + 6 * c))  # Lagrange's polynomial at two steps after c


def _check_count(name: str, num: int, k: int = K_NEAREST) -> None:
    if num <= k:
        raise UndefinedMetric(f"{name} needs more than {k} real images, got {num}")


def _check_radii(name: str, neighbours: NeighbourPass) -> None:
    """Raise `UndefinedMetric` when many real balls have no inside, since copies surround them."""
    radius_N = neighbours.real_nearest.distances[:, K_NEAREST - 1]
    empty = int((radius_N == 0).sum())
    if empty > MAX_EMPTY * len(radius_N):
        raise UndefinedMetric(
            f"{empty:,} of {len(radius_N):,} real images have {K_NEAREST} or more copies among the "
            f"real ones, so that the balls of {name} around them are empty; remove the copies from "
            "the reference"
        )


def _density(inputs: MetricInputs) -> MetricValue:
    value = density(inputs.neighbours)
    _check_radii("density_k5", inputs.neighbours)
    return MetricValue(value)


def _coverage(inputs: MetricInputs) -> MetricValue:
    value = coverage(inputs.neighbours)
    _check_radii("coverage_k5", inputs.neighbours)
    return MetricValue(value)


def _density_interval(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    count_M = inputs.neighbours.num_real_balls
    if len(count_M) < 2:
        raise UndefinedMetric("the variation of images cannot be estimated from one image")
    num = inputs.independent(len(count_M))
    if not count_M.any():  # a fake that is in any ball is in at least one
        return wilson(0, num)._replace(
            high=wilson(0, num).high / K_NEAREST, method="Wilson, one ball a fake"
        )
    interval = mean_interval(count_M / K_NEAREST, num, "mean over the images, Hall")
    low = min(max(interval.low, 0.0), found.value)
    return interval._replace(estimate=found.value, low=low, high=max(interval.high, found.value))


def _coverage_interval(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    from bench.statistics.neighbours.search import nearest_neighbours

    neighbours = inputs.neighbours
    nearest, num_fakes = neighbours.real_to_fake, len(inputs.different_features)
    if inputs.repeated is not None:
        nearest = nearest_neighbours(
            inputs.real_features, inputs.different_features, K_NEAREST, device=inputs.device
        )
    radius_N = neighbours.real_nearest.distances[:, K_NEAREST - 1]
    held_NK = nearest.distances < radius_N[:, None]
    variance, method = coverage_variance(held_NK, nearest.indices, num_fakes), "thinning"
    if variance is None:
        variance, method = _jackknife(held_NK, nearest.indices, num_fakes), "jackknife"
    return share_interval(found.value, math.sqrt(variance), len(held_NK), method)


def _jackknife(held_NK: NDArray[np.bool_], fakes_NK: NDArray[np.int64], num_fakes: int) -> float:
    """Return the delete-one variance of coverage: a fake counts for reals that only it covers."""
    alone = held_NK[:, 0] & (held_NK.sum(axis=1) == 1)
    lost = np.bincount(fakes_NK[alone, 0], minlength=num_fakes)
    return float(((lost - lost.mean()) ** 2).sum()) / len(held_NK) ** 2


def _expected_coverage(sizes: Sizes) -> float:
    return expected_coverage(sizes.n_real, sizes.n_fake)


def _expected_density(_: Sizes) -> float:
    return 1.0


DENSITY = Metric(
    name="density_k5",
    title="Density",
    meaning="how densely real images surround these",
    unit="balls / k",
    citation="Naeem et al. 2020, arXiv:2002.09797",
    direction="target",
    scale="linear",
    compute=_density,
    reads=frozenset({"features"}),
    uses=frozenset({"neighbours"}),
    sees="subset",
    depends_on_count=False,
    expected=_expected_density,
    uncertainty=_density_interval,
    constants={"k": K_NEAREST, "membership": "<"},
    diversity="coverage_k5",
)

COVERAGE = Metric(
    name="coverage_k5",
    title="Coverage",
    meaning="share of real images with one of these nearby",
    unit="share",
    citation="Naeem et al. 2020, arXiv:2002.09797",
    direction="higher",
    scale="linear",
    compute=_coverage,
    reads=frozenset({"features"}),
    uses=frozenset({"neighbours"}),
    sees="subset",
    depends_on_count=True,
    expected=_expected_coverage,
    uncertainty=_coverage_interval,
    constants={"k": K_NEAREST, "membership": "<"},
    highlight=True,
)
