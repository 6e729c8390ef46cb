"""Learning curves, and how soon a cell is as good as the base at its end.

A curve is the mean over runs at each step, with Student's t interval if there is more than one
seed. Diverged runs have no value after their divergence; each point has the number of runs left.

Sample efficiency is the first evaluated step at which a run is at least as good as the median of
the base's runs at their last step. For an even number of runs the worse of the two middle ones is
taken, so that more than half of the base's own runs reach it. (Half of them may never reach their
mean, which one bad run moves.) Runs are evaluated a few times only, so the true step lies between
that evaluation and the one before. A run that never gets there is censored and counts as later than
all others; a median of mostly censored runs is beyond the last step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as t_distribution

from baselines.ablation.analysis.ranking import goodness
from baselines.ablation.analysis.results import CELL, SEED, STEP
from bench.errors import InputError
from bench.statistics.intervals import LEVEL

GOOD = "good"  # the added column: `ranking.goodness`


class CurvePoint(NamedTuple):
    """Mean of a metric over the runs of a group (a cell or a level) after `step` steps. The band is
    None for a single run and in a table with one seed.
    """

    group: str
    step: int
    mean: float
    low: float | None
    high: float | None
    num_runs: int


class Efficiency(NamedTuple):
    """How soon the runs of a cell reach the base's final value `target`. `median_steps` is None if
    half of the runs or more never do; `ratio` is the median over the base's last step.
    """

    cell: str
    metric: str
    target: float
    num_runs: int
    num_censored: int
    median_steps: float | None
    ratio: float | None


def curves(frame: pd.DataFrame, metric: str, by: str = CELL) -> list[CurvePoint]:
    """Return the learning curve of each group of the curve table; `by` is "cell" or a factor."""
    known = frame[frame[metric].notna()]
    by_point: dict[tuple[str, int], list[float]] = {}
    for group, step, value in zip(known[by], known[STEP], known[metric], strict=True):
        by_point.setdefault((str(group), int(step)), []).append(float(value))
    order = {name: place for place, name in enumerate(dict.fromkeys(map(str, known[by])))}
    banded = known[SEED].nunique() > 1
    return [
        _point(*point, np.array(by_point[point]), banded=banded)
        for point in sorted(by_point, key=lambda point: (order[point[0]], point[1]))
    ]


def _point(group: str, step: int, values: NDArray[np.float64], *, banded: bool) -> CurvePoint:
    mean = float(values.mean())
    if len(values) == 1 or not banded:
        return CurvePoint(group, step, mean, None, None, len(values))
    t = float(t_distribution.ppf(0.5 + LEVEL / 2, len(values) - 1))
    half = t * float(values.std(ddof=1)) / math.sqrt(len(values))
    return CurvePoint(group, step, mean, mean - half, mean + half, len(values))


def efficiencies(
    frame: pd.DataFrame, metric: str, base: str, perfect: Mapping[str, float | None]
) -> list[Efficiency]:
    """Return the sample efficiency of each cell of the curve table, the base included.

    Empty if the metric has an unknown target value, or if no run of the base has a value. Raises
    `InputError` if the table lacks the base.
    """
    if base not in set(frame[CELL]):
        raise InputError(f"the table has no cell {base!r} to compare others with")
    good = goodness(metric, frame[metric].to_numpy(np.float64), perfect.get(metric))
    if good is None:
        return []
    table = frame.assign(**{GOOD: good})
    ends = table[table[CELL] == base].dropna(subset=[GOOD])
    if ends.empty:
        return []
    last_step = int(ends[STEP].max())
    at_end = ends[ends[STEP] == last_step].sort_values(GOOD)
    middle = at_end.iloc[(len(at_end) - 1) // 2]
    target = float(middle[GOOD])
    found = []
    for cell, rows in table.groupby(CELL, sort=False):
        steps = [_first(rows, int(seed), target) for seed in sorted(set(rows[SEED]))]
        median = float(np.median(steps))
        reached = math.isfinite(median)
        found.append(
            Efficiency(
                str(cell),
                metric,
                float(middle[metric]),
                len(steps),
                sum(math.isinf(step) for step in steps),
                median if reached else None,
                median / last_step if reached else None,
            )
        )
    return found


def _first(rows: pd.DataFrame, seed: int, target: float) -> float:
    """Return the first evaluated step of a run at or above the target, infinity for none."""
    reached = rows.loc[(rows[SEED] == seed) & (rows[GOOD] >= target), STEP]
    return math.inf if reached.empty else float(reached.min())
