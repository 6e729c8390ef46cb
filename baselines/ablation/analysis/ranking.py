"""Metrics as ranks, so that a run without samples counts as worst instead of missing.

The rule, for each metric: runs are ranked from worst (1) to best by the metric's direction, ties
sharing the mean of their ranks; a collapsed run has the rank of its value as measured; all diverged
runs share the lowest ranks, below every finished run. A metric whose best is a target (density, the
anomaly AUC) is ranked by the distance from what real images score, and not ranked where that is
unknown. Finished runs without a value are left out and counted.

Effects on ranks are those of `effects` on plain ranks (Conover & Iman 1981), the seed as a block.
An aligned rank transform would need a number for a diverged run, and there is none. The price:
ranks of additive data are not additive, so interactions on ranks are not tested; main effects alone
are fitted. An effect of +5 says five places up among all runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from baselines.ablation.analysis.coding import Levels
from baselines.ablation.analysis.effects import MetricEffects, corrected, metric_effects
from baselines.ablation.analysis.results import FINISHED, OUTCOME
from bench.metrics import METRICS


def goodness(
    metric: str, values: NDArray[np.float64], perfect: float | None
) -> NDArray[np.float64] | None:
    """The same numbers, higher being better; None for a target that is not known."""
    direction = METRICS[metric].direction
    if direction == "higher":
        return values
    if direction == "lower":
        return -values
    return None if perfect is None else -np.abs(values - perfect)


def ranked(
    frame: pd.DataFrame, metrics: Sequence[str], perfect: Mapping[str, float | None]
) -> pd.DataFrame:
    """The final table with ranks, 1 the worst, in place of values. A metric that cannot be ranked
    is all missing.
    """
    found = frame.copy()
    diverged = (frame[OUTCOME] != FINISHED).to_numpy()
    for metric in metrics:
        values = frame[metric].to_numpy(np.float64)
        good = goodness(metric, values, perfect.get(metric))
        places = np.full(len(frame), np.nan)
        if good is not None:
            scored = np.where(diverged, -np.inf, good)
            known = ~np.isnan(scored)
            places[known] = rankdata(scored[known])
        found[metric] = places
    return found


def rank_effects(
    frame: pd.DataFrame,
    levels: Levels,
    metrics: Sequence[str],
    perfect: Mapping[str, float | None],
) -> list[MetricEffects]:
    """Main effects on ranks, corrected over all of them together."""
    ranks = ranked(frame, metrics, perfect)
    return corrected(
        [
            metric_effects(ranks, levels, metric, scale="ranks", interactions=False)
            for metric in metrics
            if ranks[metric].notna().sum() >= 2
        ]
    )
