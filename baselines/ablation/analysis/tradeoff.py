"""Trade-offs of a trick: quality against diversity, and quality against time.

For each level of each factor an arrow leads from the mean of the base level to the mean of that
level, in the plane of precision and recall (or density and coverage), averaged over the other
factors; its intervals are those of the two effects. The time ratio is the exponential of the effect
on log seconds of training, with its interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from baselines.ablation.analysis.coding import Levels
from baselines.ablation.analysis.effects import Effect, MetricEffects, metric_effects
from baselines.ablation.analysis.paired import paired_difference
from baselines.ablation.analysis.results import CELL, DIVERGED, OUTCOME, TRAIN_S
from bench.metrics import OWN_METRICS

PLANES: tuple[tuple[str, str], ...] = tuple(  # quality, diversity
    (metric.name, metric.diversity) for metric in OWN_METRICS if metric.diversity is not None
)
LOG_S = "log_train_s"


class Shift(NamedTuple):
    """One coordinate of an arrow: its start, its length, and the interval of the length (None if
    the table has no residual variance).
    """

    start: float
    shift: float
    low: float | None
    high: float | None


class Arrow(NamedTuple):
    """A level of a factor against its base level, in one plane."""

    factor: str
    level: str
    quality_metric: str
    diversity_metric: str
    quality: Shift
    diversity: Shift


class TimeRatio(NamedTuple):
    """Training time over that of the base, as a geometric mean with its interval."""

    name: str
    ratio: float
    low: float | None
    high: float | None


def arrows(frame: pd.DataFrame, levels: Levels, analyses: Sequence[MetricEffects]) -> list[Arrow]:
    """Return all arrows in the planes whose metrics were both analysed."""
    by_metric = {one.metric: one for one in analyses}
    return [
        Arrow(
            factor,
            level,
            quality,
            diversity,
            _shift(frame, levels, by_metric[quality], (factor, level)),
            _shift(frame, levels, by_metric[diversity], (factor, level)),
        )
        for quality, diversity in PLANES
        if quality in by_metric and diversity in by_metric
        for factor, names in levels.items()
        for level in names[1:]
        if _main_effect(by_metric[quality], factor, level) is not None
        and _main_effect(by_metric[diversity], factor, level) is not None
    ]


def arrows_frame(found: Sequence[Arrow]) -> pd.DataFrame:
    """Return a row for each arrow, with its coordinates as columns."""
    rows = []
    for arrow in found:
        row: dict[str, object] = dict(list(arrow._asdict().items())[:4])
        for axis in ("quality", "diversity"):
            shift: Shift = getattr(arrow, axis)
            row |= {f"{axis}_{key}": value for key, value in shift._asdict().items()}
        rows.append(row)
    return pd.DataFrame(rows)


def _main_effect(analysis: MetricEffects, factor: str, level: str) -> Effect | None:
    for effect in analysis.effects:
        if effect.term == (factor,) and effect.levels == (level,):
            return effect
    return None


def _shift(
    frame: pd.DataFrame, levels: Levels, analysis: MetricEffects, at: tuple[str, str]
) -> Shift:
    """Return a coordinate of an arrow, starting at the mean of the runs at the base level."""
    factor, level = at
    effect = _main_effect(analysis, factor, level)
    assert effect is not None  # noqa: S101  (checked by the caller)
    start = frame.loc[frame[factor] == levels[factor][0], analysis.metric].mean()
    return Shift(float(start), effect.estimate, effect.low, effect.high)


def time_ratios(frame: pd.DataFrame, levels: Levels) -> list[TimeRatio]:
    """Return the time ratio of each level of each factor; empty if no run has a time."""
    timed = _timed(frame)
    if len(timed) < 2:
        return []
    analysis = metric_effects(timed, levels, LOG_S, interactions=False)
    return [
        _as_ratio(f"{effect.name}={effect.levels[0]}", effect.estimate, effect.low, effect.high)
        for effect in analysis.effects
    ]


def cell_time_ratios(frame: pd.DataFrame, base: str) -> list[TimeRatio]:
    """Return the time ratio of each cell to the base, paired by seed."""
    timed = _timed(frame)
    found = []
    for cell in dict.fromkeys(timed[CELL]):
        paired = paired_difference(timed, LOG_S, cell, base) if cell != base else None
        if paired is not None:
            found.append(_as_ratio(cell, paired.estimate, paired.low, paired.high))
    return found


def _timed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with the time of a whole training, and so no diverged ones."""
    frame = frame[frame[OUTCOME] != DIVERGED]
    known = frame[frame[TRAIN_S].notna() & (frame[TRAIN_S] > 0)]
    return known.assign(**{LOG_S: np.log(known[TRAIN_S].to_numpy(np.float64))})


def _as_ratio(name: str, estimate: float, low: float | None, high: float | None) -> TimeRatio:
    return TimeRatio(
        name,
        math.exp(estimate),
        None if low is None else math.exp(low),
        None if high is None else math.exp(high),
    )
