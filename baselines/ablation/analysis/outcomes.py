"""Outcomes of runs: finished, collapsed or diverged.

    diverged    a loss or a weight became infinite or NaN; there are no samples to score
    collapsed   finished, but the samples lack most of the data: fewer than half of the reference's
                classes are covered (`modes_covered`), or, without a classifier to count classes,
                coverage is below 5 % of the value of real images (`coverage_k5`)

Shares have Wilson's interval. Factors are tested with Fisher's exact test on the table of levels
against bad (diverged or collapsed) and good runs. The test takes runs as independent; runs paired
by seed are not quite, which makes it conservative if seeds matter much. Bad runs are never dropped:
`ranking` defines how their metrics count.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import hypergeom

from baselines.ablation.analysis.coding import Levels
from baselines.ablation.analysis.results import CELL, DIVERGED, FINISHED, OUTCOME
from bench.statistics.intervals import holm, wilson

COLLAPSED = "collapsed"
STATE = "state"  # the column added by `with_states`
EQUAL = 1e-7  # relative: probabilities this close are equal up to rounding
GRID = 1e-10  # logarithms are rounded to it, so that sums in any order are equal
MAX_TABLES = 20_000  # a second or two
DRAWS = 99_999


@dataclass(frozen=True, kw_only=True)
class CollapseRule:
    """When a run counts as collapsed: below `modes_share` of the reference's classes, or below
    `coverage_share` of the coverage of real images.
    """

    modes_share: float = 0.5
    coverage_share: float = 0.05

    def __str__(self) -> str:
        return (
            f"collapsed: fewer than {self.modes_share:.0%} of the classes covered, or, without a "
            f"count of classes, coverage below {self.coverage_share:.0%} of that of real images"
        )


class OutcomeShare(NamedTuple):
    """The runs of a group (a cell, or a level of a factor), how many of them diverged or collapsed,
    and their share with its interval.
    """

    group: str
    num_runs: int
    num_diverged: int
    num_collapsed: int
    share: float
    low: float
    high: float


class FactorTest(NamedTuple):
    """A test of whether the share of bad runs differs between the levels of a factor."""

    factor: str
    shares: tuple[OutcomeShare, ...]
    p_value: float
    p_holm: float


def with_states(
    frame: pd.DataFrame, perfect: Mapping[str, float | None], rule: CollapseRule | None = None
) -> pd.DataFrame:
    """Return the final table with a column `state`: finished, collapsed or diverged.

    `perfect` holds the scores of real images by metric.
    """
    chosen = rule or CollapseRule()

    def state(row: Mapping[Hashable, Any]) -> str:
        if row[OUTCOME] != FINISHED:
            return DIVERGED
        for metric, share in (
            ("modes_covered", chosen.modes_share),
            ("coverage_k5", chosen.coverage_share),
        ):
            value, full = row.get(metric), perfect.get(metric)
            if isinstance(value, float) and not math.isnan(value) and full:
                return COLLAPSED if value < share * full else FINISHED
        return FINISHED

    return frame.assign(**{STATE: [state(row) for row in frame.to_dict("records")]})


def share_of(group: str, states: Sequence[str]) -> OutcomeShare:
    """Return the outcomes of one group of runs."""
    diverged, collapsed = states.count(DIVERGED), states.count(COLLAPSED)
    interval = wilson(diverged + collapsed, len(states))
    return OutcomeShare(
        group, len(states), diverged, collapsed, interval.estimate, interval.low, interval.high
    )


def cell_outcomes(frame: pd.DataFrame) -> list[OutcomeShare]:
    """Return the outcomes of each cell of a table `with_states`, in its order."""
    return [
        share_of(str(cell), list(group[STATE])) for cell, group in frame.groupby(CELL, sort=False)
    ]


def factor_outcomes(frame: pd.DataFrame, levels: Levels) -> list[FactorTest]:
    """Return the outcomes of each level of each factor, and Fisher's test, Holm-corrected."""
    found = []
    for factor, names in levels.items():
        groups = {name: list(frame.loc[frame[factor] == name, STATE]) for name in names}
        shares = tuple(share_of(name, states) for name, states in groups.items() if states)
        bad = [one.num_diverged + one.num_collapsed for one in shares]
        found.append((factor, shares, fisher_exact(bad, [one.num_runs for one in shares])))
    adjusted = holm([p_value for _, _, p_value in found])
    return [FactorTest(*one, p_holm) for one, p_holm in zip(found, adjusted, strict=True)]


def fisher_exact(bad: Sequence[int], totals: Sequence[int]) -> float:
    """Return the two-sided p-value of equal shares in L groups with `bad` of `totals` each.

    It is the probability of all tables with the same margins that are not more likely than this one
    (Freeman & Halton 1951). It is exact while at most `MAX_TABLES` partial tables are open at a
    time, else estimated from `DRAWS` random tables, with a minimum of 1 / (`DRAWS` + 1).

    >>> round(fisher_exact([0, 4], [4, 4]), 4)
    0.0286
    """
    n_L = np.asarray(totals, np.int64)
    ways_L = [np.round(_log_ways(int(n)) / GRID).astype(np.int64) for n in n_L]
    limit = sum(int(ways[k]) for ways, k in zip(ways_L, bad, strict=True)) + round(EQUAL / GRID)
    exact = _exact_tail(n_L, sum(bad), ways_L, limit)
    return _drawn_tail(n_L, sum(bad), ways_L, limit) if exact is None else min(1.0, exact)


def _log_ways(n: int) -> NDArray[np.float64]:
    """Return the logarithms of the numbers of ways to choose 0 to n of n."""
    k = np.arange(n + 1)
    found: NDArray[np.float64] = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return found


def _exact_tail(
    n_L: NDArray[np.int64], num_bad: int, ways_L: Sequence[NDArray[np.int64]], limit: int
) -> float | None:
    """Return the probability of all tables with a weight up to `limit`, built group by group.

    Partial tables with the same rest and weight are merged; one whose completions all lie on one
    side of the limit is closed (Mehta & Patel 1983). None if too many are open.
    """
    least, most = _bounds(ways_L, num_bad)
    rest_P, weight_P, share_P = np.array([num_bad]), np.array([0]), np.array([1.0])
    tail = 0.0
    for group, (n, ways) in enumerate(zip(n_L, ways_L, strict=True)):
        k, after = np.arange(n + 1), int(n_L[group + 1 :].sum())
        rest = rest_P[:, None] - k
        possible = (rest >= 0) & (rest <= after)
        chance = hypergeom.pmf(k, after + n, rest_P[:, None], n)
        rest, weight = rest[possible], (weight_P[:, None] + ways)[possible]
        share = (share_P[:, None] * chance)[possible]
        inside = weight + most[group + 1][rest] <= limit
        tail += float(share[inside].sum())
        open_ = ~inside & (weight + least[group + 1][rest] <= limit)
        pairs, place = np.unique(
            np.stack([rest[open_], weight[open_]]), axis=1, return_inverse=True
        )
        rest_P, weight_P = pairs
        share_P = np.bincount(place.ravel(), share[open_], minlength=len(rest_P))
        if len(rest_P) > MAX_TABLES:
            return None
    return tail


def _bounds(
    ways_L: Sequence[NDArray[np.int64]], num_bad: int
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Return the least and the most weight that each group and those after it can add, by the
    number of bad runs left to them; impossible numbers are never looked up.
    """
    never = np.int64(2**60)
    least = [np.full(num_bad + 1, never)]
    least[0][0] = 0
    most = [np.full(num_bad + 1, -never)]
    most[0][0] = 0
    for ways in reversed(ways_L):
        low, high = np.full(num_bad + 1, never), np.full(num_bad + 1, -never)
        for k, weight in enumerate(ways[: num_bad + 1]):
            upto = num_bad + 1 - k
            low[k:] = np.minimum(low[k:], least[0][:upto] + weight)
            high[k:] = np.maximum(high[k:], most[0][:upto] + weight)
        least.insert(0, low)
        most.insert(0, high)
    return least, most


def _drawn_tail(
    n_L: NDArray[np.int64], num_bad: int, ways_L: Sequence[NDArray[np.int64]], limit: int
) -> float:
    drawn = np.random.default_rng(0).multivariate_hypergeometric(n_L, num_bad, size=DRAWS)
    weight = sum(ways[k] for ways, k in zip(ways_L, drawn.T, strict=True))
    return (1 + int((weight <= limit).sum())) / (1 + DRAWS)
