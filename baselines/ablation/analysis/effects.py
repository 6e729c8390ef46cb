"""Effects of factors on metrics, with intervals over seeds, and shares of variance.

Ordinary least squares with the seed as a block (Box, Hunter & Hunter 2005, chapters 4 and 5):

    y = mean + seed + main effects + two-factor interactions + residual

Effects are contrasts against the base level (`coding.contrast`). The residual pools the differences
of seeds within cells and the interactions of three or more factors. Cells may have unequal
variances, as collapsed runs and good ones do: standard errors are heteroscedasticity-consistent
(HC2), and intervals and p-values use Student's t with Satterthwaite's degrees of freedom over the
cells (`least_squares.robust_error`). The standardised effect is the effect over the residual
standard deviation of one run, with the interval of a noncentral t. P-values are corrected by Holm
over all effects of all metrics analysed together. A table with one seed has no intervals: its
residual would consist of interactions, and would say nothing about other seeds. Sums of squares are
of type III (a term given all others); in a balanced table all types agree. Shares are of the total.

The design limits what can be estimated: one-at-a-time and leave-one-out have no interactions, and
their effects hold next to the base only; in a fraction every effect lists its aliases. Agrees with
statsmodels' `ols(...).fit(cov_type="HC2")` and `anova_lm(..., typ=3)` on `C(factor, Sum)` to
float64 rounding.

An effect is negligible if it is smaller than `NEGLIGIBLE` of the larger of the median over runs and
the score of real images: significant, but of no use to anybody.

A main effect is an average over the levels of the other factors. Where an interaction is
significant, `simple` gives the effects within it.

On 300 simulated tables of the 2^4 factorial with 5 seeds, and runs with standard deviation 1 around
the means of their cell and seed,

    from baselines.ablation.analysis.simulation import simulate; simulate(300)
    from baselines.ablation.analysis.simulation import simulate; simulate(300, effects={})

a main effect of 1 standard deviation is found in 95.0 % after Holm (99.7 % before), an interaction
of 2 in 94.3 % (99.3 %); 95.7 % of the intervals contain the true value. Without any effect, 2.7 %
of the tables have a significant one, and 4.3 % of the single p-values are below .05. If runs are
not normal: 1.0 % false alarms with Student's t with 3 degrees of freedom, 1.3 % with log-normal
runs. With a standard deviation five times as large in half of the cells false alarms are 2.3 %, in
one of the 16 cells 2.0 % (5.5 % with a common variance).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as t_distribution

from baselines.ablation.analysis.coding import (
    Coded,
    Levels,
    Term,
    coded,
    contrast,
    levels_present,
    name_of,
)
from baselines.ablation.analysis.least_squares import (
    Fit,
    Share,
    fitted,
    robust_error,
    variance_shares,
)
from baselines.ablation.analysis.results import SEED
from bench.errors import InputError
from bench.statistics.intervals import LEVEL, holm
from bench.statistics.power import standardised_bounds

Scale = Literal["values", "ranks"]
NEGLIGIBLE = 0.01


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One contrast on one metric: `levels` of the factors of `term` against their base levels. All
    but the estimate is None without residual degrees of freedom or residual variance. `df` are the
    degrees of freedom of the standard error.
    """

    metric: str
    term: Term
    levels: tuple[str, ...]
    estimate: float
    standard_error: float | None = None
    df: float | None = None
    low: float | None = None
    high: float | None = None
    standardised: float | None = None
    standardised_low: float | None = None
    standardised_high: float | None = None
    p_value: float | None = None
    p_holm: float | None = None
    aliases: tuple[str, ...] = ()
    is_negligible: bool = False

    @property
    def name(self) -> str:
        return name_of(self.term)

    @property
    def is_significant(self) -> bool:
        """Whether it is significant at 5 % for the whole family."""
        return self.p_holm is not None and self.p_holm < 1 - LEVEL


@dataclass(frozen=True, kw_only=True)
class MetricEffects:
    """The model of one metric. `sigma` is the residual standard deviation of a run, None without
    residual degrees of freedom or with one seed; `left_out` are terms that the design cannot
    separate; `num_missing` runs had no value.
    """

    metric: str
    scale: Scale
    effects: tuple[Effect, ...]
    shares: tuple[Share, ...]
    sigma: float | None
    df: int
    num_runs: int
    num_seeds: int
    num_columns: int
    num_missing: int
    left_out: tuple[Term, ...]
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each effect."""
        rows = [asdict(effect) | {"term": effect.name} for effect in self.effects]
        frame = pd.DataFrame(rows)
        for column in ("levels", "aliases"):
            frame[column] = [", ".join(value) for value in frame[column]]
        return frame.assign(scale=self.scale)

    def shares_frame(self) -> pd.DataFrame:
        """Return the analysis of variance, with a row for each source."""
        return pd.DataFrame(self.shares).assign(metric=self.metric, scale=self.scale)


def metric_effects(
    frame: pd.DataFrame,
    levels: Levels,
    metric: str,
    *,
    scale: Scale = "values",
    interactions: bool = True,
    perfect: float | None = None,
) -> MetricEffects:
    """Return the effects on one column of a table of runs, without Holm's correction. `perfect` is
    the score of real images.

    Runs without a value are left out and counted; `outcomes` and `ranking` include them. Raises
    `InputError` for a table without that column or with fewer than two values.
    """
    if metric not in frame:
        raise InputError(f"the table has no column {metric!r}")
    known = frame[frame[metric].notna()]
    if len(known) < 2:
        raise InputError(f"{metric}: {len(known)} runs have a value, but effects need two or more")
    levels = levels_present(known, levels)
    coding = coded(known, levels, interactions=interactions)
    y_N = known[metric].to_numpy(np.float64)
    fit = fitted(coding, y_N)
    cells_N = np.asarray(known.groupby(list(levels), sort=False).ngroup(), np.int64)
    least = 0.0 if scale == "ranks" else NEGLIGIBLE * max(abs(np.median(y_N)), abs(perfect or 0.0))
    num_seeds = known[SEED].nunique()
    if num_seeds == 1:  # the residual consists of interactions
        fit = fit._replace(df=0)
    model = _Model(metric, coding, levels, fit, cells_N, least)
    effects = tuple(
        _effect(model, dict(zip(term, chosen, strict=True)))
        for term in coding.columns
        if term and term != (SEED,)
        for chosen in itertools.product(*(levels[factor][1:] for factor in term))
    )
    return MetricEffects(
        metric=metric,
        scale=scale,
        effects=effects,
        shares=tuple(variance_shares(coding, fit)),
        sigma=fit.sigma,
        df=fit.df,
        num_runs=len(known),
        num_seeds=num_seeds,
        num_columns=coding.matrix.shape[1],
        num_missing=len(frame) - len(known),
        left_out=coding.left_out,
        notes=tuple(_notes(coding, fit, levels, num_seeds, len(frame) - len(known))),
    )


def analysed(
    frame: pd.DataFrame,
    levels: Levels,
    metrics: Sequence[str],
    perfect: Mapping[str, float | None] | None = None,
) -> list[MetricEffects]:
    """Return the effects on several metrics, with Holm's correction over all of them together.
    `perfect` are the scores of real images.

    Metrics with fewer than two values are left out.
    """
    found = [
        metric_effects(frame, levels, metric, perfect=(perfect or {}).get(metric))
        for metric in metrics
        if frame[metric].notna().sum() >= 2
    ]
    return corrected(found)


def corrected(found: Sequence[MetricEffects]) -> list[MetricEffects]:
    """Return the same with `p_holm`, taking all effects of all metrics as one family."""
    family = [e for one in found for e in one.effects if e.p_value is not None]
    adjusted = iter(holm([e.p_value for e in family if e.p_value is not None]))
    return [
        replace(
            one,
            effects=tuple(
                e if e.p_value is None else replace(e, p_holm=next(adjusted)) for e in one.effects
            ),
        )
        for one in found
    ]


class _Model(NamedTuple):
    """The fitted model of one metric; `least` is the smallest effect that is not negligible."""

    metric: str
    coding: Coded
    levels: Levels
    fit: Fit
    cells: NDArray[np.int64]  # N, the cell of each run
    least: float


def _effect(model: _Model, chosen: dict[str, str]) -> Effect:
    metric, coding, levels, fit, cells_N, least = model
    weights = contrast(coding, levels, chosen)
    term = tuple(chosen)
    estimate = float(weights @ fit.beta)
    found = Effect(
        metric=metric,
        term=term,
        levels=tuple(chosen.values()),
        estimate=estimate,
        aliases=coding.aliases.get(term, ()),
        is_negligible=abs(estimate) < least,
    )
    sigma = fit.sigma
    error, df = robust_error(coding, fit, weights, cells_N)
    if not sigma or not error:
        return found
    t = estimate / error
    half = float(t_distribution.ppf(0.5 + LEVEL / 2, df)) * error
    low, high = standardised_bounds(t, df)
    return replace(
        found,
        standard_error=error,
        df=df,
        low=estimate - half,
        high=estimate + half,
        standardised=estimate / sigma,
        standardised_low=low * error / sigma,
        standardised_high=high * error / sigma,
        p_value=2 * float(t_distribution.sf(abs(t), df)),
    )


def _notes(coding: Coded, fit: Fit, levels: Levels, num_seeds: int, num_missing: int) -> list[str]:
    notes = []
    pairs = [term for term in coding.left_out if len(term) == 2]
    lost = [term for term in coding.left_out if len(term) == 1]
    for (factor,) in lost:
        notes.append(f"{factor}: these runs cannot separate its levels from the other terms")
    if pairs and len(pairs) == math.comb(len(levels), 2):
        notes.append(
            "this design cannot estimate interactions: an effect holds next to the base, and may "
            "differ in other combinations"
        )
    elif pairs:
        notes.append(f"interactions that cannot be estimated: {', '.join(map(name_of, pairs))}")
    if num_seeds == 1:
        notes.append("there is one seed, so there are no intervals; add seeds")
    elif fit.df <= 0:
        notes.append("too few runs to estimate the variance, so there are no intervals; add seeds")
    elif fit.total_ss == 0:
        notes.append("all runs have the same value")
    elif fit.residual_ss == 0:
        notes.append("the effects explain all differences, so there are no intervals")
    if num_missing:
        left = "run has no value and is" if num_missing == 1 else "runs have no value and are"
        notes.append(f"{num_missing} {left} left out; outcomes and ranks include all runs")
    return notes
