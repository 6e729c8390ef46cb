"""Simple effects: the effect of one factor at each level of another, where the two interact.

A main effect averages over the levels of the other factors. Where an interaction is significant
that average may hold nowhere: a trick can do nothing alone and ruin training beside another one. A
simple effect is the main effect in the part of the table in which the other factor has one level,
analysed on its own, so that collapsed runs elsewhere neither move it nor widen its interval.
P-values are corrected by Holm over all simple effects of an ablation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from baselines.ablation.analysis.coding import Levels
from baselines.ablation.analysis.effects import Effect, MetricEffects, metric_effects
from bench.statistics.intervals import holm


@dataclass(frozen=True, kw_only=True)
class SimpleEffect:
    """The effect of a level of one factor where another, `partner`, is at `partner_level`."""

    effect: Effect
    partner: str
    partner_level: str

    @property
    def metric(self) -> str:
        return self.effect.metric

    @property
    def factor(self) -> str:
        return self.effect.term[0]


def interacting(analysis: MetricEffects) -> dict[str, tuple[str, ...]]:
    """Return the factors of significant interactions, each with the factors that it interacts
    with. Negligible interactions do not count.
    """
    found: dict[str, dict[str, None]] = {}
    for effect in analysis.effects:
        if len(effect.term) == 2 and effect.is_significant and not effect.is_negligible:
            one, other = effect.term
            found.setdefault(one, {})[other] = None
            found.setdefault(other, {})[one] = None
    return {factor: tuple(partners) for factor, partners in found.items()}


def simple_effects(
    frame: pd.DataFrame,
    levels: Levels,
    analyses: Sequence[MetricEffects],
    perfect: Mapping[str, float | None] | None = None,
) -> list[SimpleEffect]:
    """Return the simple effects within every significant interaction of the analyses."""
    found = [
        SimpleEffect(effect=effect, partner=partner, partner_level=level)
        for analysis in analyses
        for factor, partners in interacting(analysis).items()
        for partner in partners
        for level in levels[partner]
        for effect in _within(
            frame[frame[partner] == level],
            {name: names for name, names in levels.items() if name != partner},
            (analysis.metric, factor),
            (perfect or {}).get(analysis.metric),
        )
    ]
    tested = [one.effect.p_value for one in found if one.effect.p_value is not None]
    adjusted = iter(holm(tested))
    return [
        one
        if one.effect.p_value is None
        else replace(one, effect=replace(one.effect, p_holm=next(adjusted)))
        for one in found
    ]


def _within(
    part: pd.DataFrame, levels: Levels, about: tuple[str, str], perfect: float | None
) -> list[Effect]:
    """Return the main effects of one factor in a part of the table."""
    metric, factor = about
    if part[metric].notna().sum() < 2:
        return []
    analysis = metric_effects(part, levels, metric, perfect=perfect)
    return [effect for effect in analysis.effects if effect.term == (factor,)]


def simple_frame(found: Sequence[SimpleEffect]) -> pd.DataFrame:
    """Return a row for each simple effect."""
    return pd.DataFrame(
        [
            {
                "metric": one.metric,
                "factor": one.factor,
                "level": one.effect.levels[0],
                "partner": one.partner,
                "partner_level": one.partner_level,
                **{
                    key: getattr(one.effect, key)
                    for key in ("estimate", "standard_error", "df", "low", "high", "p_value",
                                "p_holm", "is_negligible")
                },
            }
            for one in found
        ]
    )  # fmt: skip
