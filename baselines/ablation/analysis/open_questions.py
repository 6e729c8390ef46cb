"""What an ablation does not show, and how many seeds would: see `conclusions`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from baselines.ablation.analysis.effects import Effect, MetricEffects
from baselines.ablation.analysis.power import detectable, seeds_needed
from baselines.ablation.analysis.wording import Which, amount, short, what, which
from bench.reporting.sentence import Sentence
from bench.statistics.intervals import LEVEL
from bench.tables.numbers import counted, listed

ALPHA = 1 - LEVEL
MAX_OPEN = 6  # effects that are not shown, named one by one


def nothing_shown(effects: Sequence[MetricEffects], also: Sequence[str]) -> Sentence:
    """That no effect on values is significant; what else is (`also`), or how many seeds it would
    take.
    """
    family = _num_tested(effects)
    if not family:
        if effects and all(one.num_seeds == 1 for one in effects):
            return Sentence(
                "note",
                "Nothing can be said with one seed: no effect has an interval, and how many seeds "
                "would be needed is not known either; run two or more.",
            )
        return Sentence("note", "Nothing can be said: no effect has an interval.")
    tested = f"none of {family} stands" if family > 1 else "the one that was tested does not stand"
    said = (
        f"No effect on the values of a metric is significant: {tested} out from the spread between "
        "seeds at 5 % after Holm's correction."
    )
    if also:
        return Sentence("note", f"{said} Significant, and told below, is {listed(also)}.")
    said += " This does not show that there is none."
    for analysis, effect in _not_shown(effects)[:1]:
        seeds = needed(analysis, effect, ALPHA / family)
        said += (
            f" Nearest to it is {what(effect)} on {effect.metric}: were it as large as it looks, "
            + (
                f"about {counted(seeds, 'seed')} would be needed to show it; this has "
                f"{analysis.num_seeds}."
                if seeds is not None
                else "no number of seeds in reach would show it."
            )
        )
    return Sentence("note", said)


def _num_tested(effects: Sequence[MetricEffects]) -> int:
    """Of all metrics: the family that Holm corrects for."""
    return sum(effect.p_value is not None for one in effects for effect in one.effects)


def _not_shown(analyses: Sequence[MetricEffects]) -> list[tuple[MetricEffects, Effect]]:
    """Main effects that are tested and not shown, the nearest to it first."""
    still = [
        (one, effect)
        for one in analyses
        for effect in one.effects
        if len(effect.term) == 1 and effect.p_value is not None and not effect.is_significant
    ]
    return sorted(still, key=lambda pair: pair[1].p_value or 0.0)


def needed(analysis: MetricEffects, effect: Effect, alpha: float = ALPHA) -> int | None:
    """Seeds for 80 % power for an effect as large as this estimate, at the observed spread; None
    for more than `power.MAX_SEEDS` or where the spread is not known. Every cell is taken to be run
    with every seed.
    """
    if effect.standard_error is None:
        return None
    cells = analysis.num_runs / analysis.num_seeds
    terms = analysis.num_columns - (analysis.num_seeds - 1)

    def df(seeds: int) -> float:
        return cells * seeds - terms - (seeds - 1)

    unit = effect.standard_error * analysis.num_seeds**0.5
    return seeds_needed(effect.estimate, unit, df, alpha=alpha)


def open_questions(effects: Sequence[MetricEffects], ranked: Collection[Which]) -> list[Sentence]:
    """Main effects that are not shown, the nearest to it first; `ranked` are shown by ranks."""
    family = _num_tested(effects)
    still = _not_shown(effects)
    said = []
    for analysis, effect in still[:MAX_OPEN]:
        assert effect.standard_error is not None  # noqa: S101  (it has a p-value)
        seeds = needed(analysis, effect, ALPHA / family)
        least = detectable(effect.standard_error, analysis.df, alpha=ALPHA / family)
        told = (
            "no number of seeds in reach finds one so small in 80 % of the cases"
            if seeds is None
            else f"about {counted(seeds, 'seed')} would be needed for 80 % power, were it so large"
        )
        where = " among runs that finish" if which(effect) in ranked else ""
        said.append(
            Sentence(
                "gap",
                f"Whether {what(effect)} changes {effect.metric}{where} cannot be told: "
                f"{amount(effect)}; {told}; these {analysis.num_seeds} find one of {short(least)} "
                "that often.",
            )
        )
    if len(still) > MAX_OPEN:
        further = counted(len(still) - MAX_OPEN, "further main effect")
        said.append(Sentence("gap", f"Nor can {further}: see the table."))
    return said
