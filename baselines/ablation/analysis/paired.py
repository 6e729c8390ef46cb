"""Paired differences of every cell from the base, seed by seed.

Runs with the same seed share images, latents and initial weights, so their difference is free of
what the seed does to both. The interval is Student's t over the differences. It assumes normal
differences, which a few seeds cannot confirm. Up to `EXACT_SEEDS` seeds the exact sign-flip test is
therefore given as well, which only assumes symmetry: without an effect all patterns of signs are
equally likely. With S seeds its p-value is at least 2^(1-S): .0625 for 5 seeds, so that it needs 6
or more to be significant at 5 %. Holm's correction is over all cells and metrics compared together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as t_distribution

from baselines.ablation.analysis.results import CELL, SEED
from bench.errors import InputError
from bench.statistics.intervals import LEVEL, holm
from bench.statistics.power import seeds_needed

EXACT_SEEDS = 14  # 16,384 patterns of signs
TIE = 1e-12  # relative to the sum of sizes: sums this close are equal up to rounding


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """A cell minus the base on one metric, over the seeds that both have. `standardised` is the
    mean over the standard deviation of the differences. With fewer than two seeds, or if all
    differences are equal, there is no interval.
    """

    metric: str
    cell: str
    num_seeds: int
    estimate: float
    standard_error: float | None = None
    low: float | None = None
    high: float | None = None
    standardised: float | None = None
    p_value: float | None = None
    p_holm: float | None = None
    p_sign_flip: float | None = None
    # for 80 % power at 5 % in this comparison alone (without Holm), if the estimate were true
    seeds_needed: int | None = None

    @property
    def is_significant(self) -> bool:
        """Whether it is significant at 5 % for the whole family."""
        return self.p_holm is not None and self.p_holm < 1 - LEVEL


def sign_flip(x_N: NDArray[np.float64]) -> float:
    """Return the exact two-sided p-value of mean 0 among all 2^N patterns of signs.

    Raises `InputError` unless N is 1 to `EXACT_SEEDS`.

    >>> sign_flip(np.array([1.0, 2.0, 3.0]))
    0.25
    """
    if not 1 <= len(x_N) <= EXACT_SEEDS:
        raise InputError(f"{len(x_N)} differences: the exact test needs 1 to {EXACT_SEEDS}")
    sums = np.array([0.0])
    for value in x_N:
        sums = np.concatenate([sums + value, sums - value])
    limit = abs(float(x_N.sum())) - TIE * float(np.abs(x_N).sum())
    return float((np.abs(sums) >= limit).mean())


def paired_difference(
    frame: pd.DataFrame, metric: str, cell: str, base: str
) -> PairedDifference | None:
    """Return a cell minus the base; None if no seed has both values."""
    ours, theirs = _by_seed(frame, metric, cell), _by_seed(frame, metric, base)
    x_N = np.array([ours[seed] - theirs[seed] for seed in ours if seed in theirs])
    num = len(x_N)
    if num == 0:
        return None
    found = PairedDifference(metric=metric, cell=cell, num_seeds=num, estimate=float(x_N.mean()))
    deviation = float(x_N.std(ddof=1)) if num > 1 else 0.0
    if deviation <= TIE * float(np.abs(x_N).max()):
        return found
    error = deviation / math.sqrt(num)
    half = float(t_distribution.ppf(0.5 + LEVEL / 2, num - 1)) * error
    return replace(
        found,
        standard_error=error,
        low=found.estimate - half,
        high=found.estimate + half,
        standardised=found.estimate / deviation,
        p_value=2 * float(t_distribution.sf(abs(found.estimate) / error, num - 1)),
        p_sign_flip=sign_flip(x_N) if num <= EXACT_SEEDS else None,
        seeds_needed=seeds_needed(found.estimate, deviation, lambda seeds: seeds - 1),
    )


def _by_seed(frame: pd.DataFrame, metric: str, cell: str) -> dict[int, float]:
    """Return the values of a cell's runs that have one."""
    rows = frame[frame[CELL] == cell]
    pairs = zip(rows[SEED].tolist(), rows[metric].tolist(), strict=True)
    return {seed: value for seed, value in pairs if not math.isnan(value)}


def paired_differences(
    frame: pd.DataFrame, metrics: Sequence[str], base: str
) -> list[PairedDifference]:
    """Return the differences of all other cells from the base on all metrics, corrected together.

    Raises `InputError` if the table lacks the base.
    """
    cells = list(dict.fromkeys(frame[CELL]))
    if base not in cells:
        raise InputError(f"the table has no cell {base!r} to compare others with")
    found = [
        difference
        for metric, cell in itertools.product(metrics, cells)
        if cell != base and (difference := paired_difference(frame, metric, cell, base)) is not None
    ]
    tested = [one.p_value for one in found if one.p_value is not None]
    adjusted = iter(holm(tested))
    return [one if one.p_value is None else replace(one, p_holm=next(adjusted)) for one in found]


def paired_frame(found: Sequence[PairedDifference]) -> pd.DataFrame:
    """Return a row for each difference."""
    return pd.DataFrame([asdict(one) for one in found])
