"""Effects on ranks, in which a diverged run counts as worst instead of missing.

For each metric, runs are ranked from worst (1) to best by the metric's direction; ties share the
mean of their ranks. A collapsed run is ranked by its value; all diverged runs share the lowest
ranks, below every finished run. A metric with a target value (density, the anomaly AUC) is ranked
by the distance from the score of real images, and not ranked if that is unknown. Finished runs
without a value are left out and counted.

Effects on ranks are those of `effects` on plain ranks (Conover & Iman 1981), with the seed as a
block. (An aligned rank transform would need a number for a diverged run, and there is none.) Ranks
of additive data are not additive, so interactions on ranks are not tested; only main effects are
fitted. An effect of +5 means five places up among all runs.
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
    """Return the values so that higher is better; None if the metric's target is unknown."""
    direction = METRICS[metric].direction
    if direction == "higher":
        return values
    if direction == "lower":
        return -values
    return None if perfect is None else -np.abs(values - perfect)


def is_better(metric: str, change: float) -> bool | None:
    """Return whether a change of a metric is for the better; None for no change, for an unknown
    metric and for one with a target value.

    >>> is_better("fid", -1.5), is_better("recall_k3", -0.1), is_better("density_k5", 0.1)
    (True, False, None)
    """
    direction = METRICS[metric].direction if metric in METRICS else "target"
    if direction == "target" or change == 0:
        return None
    return (change > 0) == (direction == "higher")


def ranked(
    frame: pd.DataFrame, metrics: Sequence[str], perfect: Mapping[str, float | None]
) -> pd.DataFrame:
    """Return the final table with ranks in place of values, 1 being the worst. A metric that cannot
    be ranked is all missing.
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
    """Return the main effects on ranks, corrected over all of them together."""
    ranks = ranked(frame, metrics, perfect)
    return corrected(
        [
            metric_effects(ranks, levels, metric, scale="ranks", interactions=False)
            for metric in metrics
            if ranks[metric].notna().sum() >= 2
        ]
    )
