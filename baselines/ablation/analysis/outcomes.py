"""How runs end: finished, collapsed or diverged, as an outcome of its own.

    diverged    a loss or a weight became infinite or NaN; there are no samples to score
    collapsed   finished, and the samples lack most of the data: fewer than half of the reference's
                classes are covered (`modes_covered`), or, where no classifier counts classes, the
                coverage is below 5 % of what real images reach (`coverage_k5`)

Shares have Wilson's interval. A factor is tested by Fisher's exact test on the table of its levels
against bad (diverged or collapsed) and good runs; it takes the runs as independent, which pairs by
seed are not quite: where seeds matter much it is cautious. Bad runs are never dropped: `ranking`
says how their metrics count.
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
STATE = "state"  # the column that `with_states` adds
EQUAL = 1e-7  # relative: tables as likely as the one seen, but for rounding
GRID = 1e-10  # of logarithms, so that sums in any order are equal
MAX_TABLES = 20_000  # a second or two
DRAWS = 99_999


@dataclass(frozen=True, kw_only=True)
class CollapseRule:
    """`modes_share` of the reference's classes, `coverage_share` of the coverage of real images."""

    modes_share: float = 0.5
    coverage_share: float = 0.05

    def __str__(self) -> str:
        return (
            f"collapsed: fewer than {self.modes_share:.0%} of the classes covered, or, without a "
            f"count of classes, coverage below {self.coverage_share:.0%} of that of real images"
        )


class OutcomeShare(NamedTuple):
    """Runs of a group (a cell, or a level of a factor), how many ended badly, and the share of
    those with its interval.
    """

    group: str
    num_runs: int
    num_diverged: int
    num_collapsed: int
    share: float
    low: float
    high: float


class FactorTest(NamedTuple):
    """Whether the share of bad runs differs between a factor's levels."""

    factor: str
    shares: tuple[OutcomeShare, ...]
    p_value: float
    p_holm: float


def with_states(
    frame: pd.DataFrame, perfect: Mapping[str, float | None], rule: CollapseRule | None = None
) -> pd.DataFrame:
    """The final table with a column `state`: finished, collapsed or diverged. `perfect` is what
    real images score.
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
    """The outcome of one group of runs."""
    diverged, collapsed = states.count(DIVERGED), states.count(COLLAPSED)
    interval = wilson(diverged + collapsed, len(states))
    return OutcomeShare(
        group, len(states), diverged, collapsed, interval.estimate, interval.low, interval.high
    )


def cell_outcomes(frame: pd.DataFrame) -> list[OutcomeShare]:
    """Of each cell of a table `with_states`, in its order."""
    return [
        share_of(str(cell), list(group[STATE])) for cell, group in frame.groupby(CELL, sort=False)
    ]


def factor_outcomes(frame: pd.DataFrame, levels: Levels) -> list[FactorTest]:
    """Of each level of each factor, with Fisher's test corrected over the factors."""
    found = []
    for factor, names in levels.items():
        groups = {name: list(frame.loc[frame[factor] == name, STATE]) for name in names}
        shares = tuple(share_of(name, states) for name, states in groups.items() if states)
        bad = [one.num_diverged + one.num_collapsed for one in shares]
        found.append((factor, shares, fisher_exact(bad, [one.num_runs for one in shares])))
    adjusted = holm([p_value for _, _, p_value in found])
    return [FactorTest(*one, p_holm) for one, p_holm in zip(found, adjusted, strict=True)]


def fisher_exact(bad: Sequence[int], totals: Sequence[int]) -> float:
    """Two-sided p-value of equal shares in L groups, `bad` of `totals` each: the probability of all
    tables with the same margins that are no likelier than this one (Freeman & Halton 1951).

    Exact as long as `MAX_TABLES` partial tables of one weight and margin are left at a time, else
    by `DRAWS` random tables, whose p-value is never below 1 / (`DRAWS` + 1).
    """
    n_L = np.asarray(totals, np.int64)
    ways_L = [np.round(_log_ways(int(n)) / GRID).astype(np.int64) for n in n_L]
    limit = sum(int(ways[k]) for ways, k in zip(ways_L, bad, strict=True)) + round(EQUAL / GRID)
    exact = _exact_tail(n_L, sum(bad), ways_L, limit)
    return _drawn_tail(n_L, sum(bad), ways_L, limit) if exact is None else min(1.0, exact)


def _log_ways(n: int) -> NDArray[np.float64]:
    """Logarithms of the numbers of ways to choose 0 to n of n."""
    k = np.arange(n + 1)
    found: NDArray[np.float64] = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return found


def _exact_tail(
    n_L: NDArray[np.int64], num_bad: int, ways_L: Sequence[NDArray[np.int64]], limit: int
) -> float | None:
    """Probability of the tables of a weight up to `limit`, group by group: partial tables with the
    same rest and weight are one, and one whose completions are all on one side of the limit goes
    no further (Mehta & Patel 1983). None where too many are left.
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
    """The least and the most that the groups from each one on can add to the weight, by how many
    bad runs are left to them; those that cannot be are never asked for.
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
