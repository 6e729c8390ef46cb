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

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from baselines.ablation.coding import Levels
from baselines.ablation.results import CELL, DIVERGED, FINISHED, OUTCOME
from bench.uncertainty import holm, wilson

COLLAPSED = "collapsed"
STATE = "state"  # the column that `with_states` adds
EQUAL = 1e-7  # relative: tables as likely as the one seen, but for rounding


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
    """
    all_bad = sum(bad)

    def log_weight(table: Sequence[int]) -> float:
        return sum(
            math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
            for k, n in zip(table, totals, strict=True)
        )

    seen = log_weight(bad)
    weights = [
        log_weight(table)
        for table in itertools.product(*(range(min(n, all_bad) + 1) for n in totals))
        if sum(table) == all_bad
    ]
    largest = max(weights)
    whole = math.fsum(math.exp(w - largest) for w in weights)
    tail = math.fsum(math.exp(w - largest) for w in weights if w <= seen + EQUAL)
    return min(1.0, tail / whole)
