"""An ablation in plain words: what helps, what hurts, what interacts, what cannot be told.

Every sentence states numbers of the analysis and nothing else. An effect is called one only when it
is significant at 5 % for all effects and metrics together (Holm); everything else is told as not
shown, with the seeds that would be needed for 80 % power were the truth as large as the estimate
(at 5 % over the number of effects, Holm's first step), and the size that these runs would show.
An estimate that chance made large makes that number of seeds too small: it is a lower guess.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from baselines.ablation.effects import Effect, MetricEffects
from baselines.ablation.outcomes import CollapseRule, FactorTest, OutcomeShare
from baselines.ablation.power import detectable, seeds_needed
from baselines.ablation.tradeoff import TimeRatio
from bench.metrics import METRICS
from bench.numerals import percent
from bench.reporting.words import Sentence, Tone
from bench.uncertainty import LEVEL

ALPHA = 1 - LEVEL
MAX_OPEN = 6  # effects that are not shown, named one by one


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the sentences are about: effects `analysed` together, the same on ranks, outcomes of
    cells and factors, and time ratios of the factors' levels.
    """

    effects: Sequence[MetricEffects]
    ranks: Sequence[MetricEffects] = ()
    cells: Sequence[OutcomeShare] = ()
    factors: Sequence[FactorTest] = ()
    times: Sequence[TimeRatio] = ()
    rule: CollapseRule = field(default_factory=CollapseRule)


def conclusions(findings: Findings) -> list[Sentence]:
    """What an ablation says, the most telling first."""
    shown = [
        (one, effect) for one in findings.effects for effect in one.effects if effect.is_significant
    ]
    main = [pair for pair in shown if len(pair[1].term) == 1]
    paired = [pair for pair in shown if len(pair[1].term) == 2]
    said = _headline(findings.effects)
    said += [_main_sentence(effect) for _, effect in main]
    said += [_interaction_sentence(effect) for _, effect in paired]
    if not shown:
        said.append(_nothing(findings.effects))
    said += _outcome_sentences(findings)
    said += _rank_sentences(findings)
    said += _open_questions(findings.effects)
    said += [_time_sentence(one) for one in findings.times if _differs(one)]
    return said + _notes(findings.effects)


def _headline(analyses: Sequence[MetricEffects]) -> list[Sentence]:
    """Of the first metric, which levels help, hurt, or are not shown to do either."""
    if not analyses or METRICS[analyses[0].metric].direction == "target":
        return []
    good: list[str] = []
    bad: list[str] = []
    still: list[str] = []
    for effect in analyses[0].effects:
        if len(effect.term) == 1:
            better = helps(effect.metric, effect.estimate)
            (still if not effect.is_significant else good if better else bad).append(_what(effect))
    if not good and not bad:
        return []  # said below
    parts = [f"{_listed(good)} {'help' if len(good) > 1 else 'helps'}"] if good else []
    parts += [f"{_listed(bad)} {'hurt' if len(bad) > 1 else 'hurts'}"] if bad else []
    parts += [f"of {_listed(still)} neither is shown"] if still else []
    text = f"On {analyses[0].metric}, the first metric of the plan: {'; '.join(parts)}."
    return [Sentence("good" if good else "bad", text)]


def _listed(names: Sequence[str]) -> str:
    """As "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _notes(analyses: Sequence[MetricEffects]) -> list[Sentence]:
    """What limits the analyses, each limit once with the metrics that it is about."""
    about: dict[str, list[str]] = {}
    for one in analyses:
        for note in one.notes:
            about.setdefault(note, []).append(one.metric)
    said = []
    for note, metrics in about.items():
        where = "all metrics" if len(metrics) == len(analyses) > 1 else ", ".join(metrics)
        said.append(Sentence("note", f"On {where}: {note}."))
    return said


def helps(metric: str, estimate: float) -> bool | None:
    """Whether such a change of a metric is for the better; None where the best is a target."""
    direction = METRICS[metric].direction if metric in METRICS else "target"
    if direction == "target" or estimate == 0:
        return None
    return (estimate > 0) == (direction == "higher")


def _tone(metric: str, estimate: float) -> Tone:
    verdict = helps(metric, estimate)
    return "note" if verdict is None else "good" if verdict else "bad"


def _what(effect: Effect) -> str:
    """As "label-noise (on)", or "label-noise (on) with replay-buffer (on)"."""
    pairs = zip(effect.term, effect.levels, strict=True)
    return " with ".join(f"{factor} ({level})" for factor, level in pairs)


def _amount(effect: Effect) -> str:
    """Estimate, interval and corrected p-value."""
    said = f"{effect.estimate:+.3g}"
    if effect.low is not None and effect.high is not None:
        said += f" [{effect.low:+.3g}, {effect.high:+.3g}]"
    if effect.p_holm is not None:
        said += f", p {_p(effect.p_holm)} after Holm"
    return said


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"{value:.2g}"


def _main_sentence(effect: Effect) -> Sentence:
    verdict = helps(effect.metric, effect.estimate)
    verb = {True: "helps", False: "hurts", None: "changes"}[verdict]
    said = f"{_what(effect)} {verb} {effect.metric}: {_amount(effect)}"
    if effect.standardised is not None:
        said += f"; {abs(effect.standardised):.2g} deviations of a run"
    if effect.aliases:
        said += f"; it cannot be told from {' and '.join(effect.aliases)}"
    return Sentence(_tone(effect.metric, effect.estimate), f"{said}.")


def _interaction_sentence(effect: Effect) -> Sentence:
    verdict = helps(effect.metric, effect.estimate)
    how = {True: "better", False: "worse", None: "different"}[verdict]
    said = (
        f"{_what(effect)} interact on {effect.metric}: both together are {how} than the sum of "
        f"each alone by {_amount(effect)}"
    )
    if effect.aliases:
        said += f"; it cannot be told from {' and '.join(effect.aliases)}"
    return Sentence(_tone(effect.metric, effect.estimate), f"{said}.")


def _nothing(analyses: Sequence[MetricEffects]) -> Sentence:
    tested = sum(e.p_value is not None for one in analyses for e in one.effects)
    if not tested:
        return Sentence("note", "Nothing can be said: no effect has an interval.")
    return Sentence(
        "note",
        f"No effect is significant: none of {tested} stands out from the spread between seeds at "
        "5 % after Holm's correction. This does not show that there is none.",
    )


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


def _open_questions(analyses: Sequence[MetricEffects]) -> list[Sentence]:
    """Main effects that are not shown, the nearest to it first."""
    family = sum(e.p_value is not None for one in analyses for e in one.effects)
    still = [
        (one, effect)
        for one in analyses
        for effect in one.effects
        if len(effect.term) == 1 and effect.p_value is not None and not effect.is_significant
    ]
    still.sort(key=lambda pair: pair[1].p_value or 0.0)
    said = []
    for analysis, effect in still[:MAX_OPEN]:
        assert effect.standard_error is not None  # noqa: S101  (it has a p-value)
        seeds = needed(analysis, effect, ALPHA / family)
        least = detectable(effect.standard_error, analysis.df, alpha=ALPHA / family)
        told = (
            "no number of seeds in reach finds one so small in 80 % of the cases"
            if seeds is None
            else f"about {seeds} seeds would be needed for 80 % power, were it so large"
        )
        said.append(
            Sentence(
                "gap",
                f"Whether {_what(effect)} changes {effect.metric} cannot be told: "
                f"{_amount(effect)}; {told}; these {analysis.num_seeds} find one of {least:.3g} "
                "that often.",
            )
        )
    if len(still) > MAX_OPEN:
        said.append(
            Sentence("gap", f"Nor can {len(still) - MAX_OPEN} further main effects: see the table.")
        )
    return said


def _outcome_sentences(findings: Findings) -> list[Sentence]:
    runs = sum(one.num_runs for one in findings.cells)
    if not runs:
        return []
    diverged = sum(one.num_diverged for one in findings.cells)
    collapsed = sum(one.num_collapsed for one in findings.cells)
    if not diverged + collapsed:
        return [Sentence("good", f"None of {runs} runs diverged or collapsed.")]
    said = [
        Sentence(
            "bad",
            f"Of {runs} runs {diverged} diverged and {collapsed} collapsed ({findings.rule}).",
        )
    ]
    for test in findings.factors:
        shares = "; ".join(
            f"{one.group} {percent(one.share)} [{percent(one.low)}, {percent(one.high)}]"
            for one in test.shares
        )
        if test.p_holm < ALPHA:
            said.append(
                Sentence(
                    "bad",
                    f"How often runs end badly depends on {test.factor}: {shares}, Fisher's p "
                    f"{_p(test.p_holm)} after Holm.",
                )
            )
    if len(said) == 1 and findings.factors:
        said.append(Sentence("note", "No factor is shown to change how often that happens."))
    return said


def _rank_sentences(findings: Findings) -> list[Sentence]:
    """What ranks say and values do not: there diverged runs count as worst."""
    shown = {
        (effect.metric, effect.term, effect.levels)
        for one in findings.effects
        for effect in one.effects
        if effect.is_significant
    }
    found: dict[tuple[str, bool], list[tuple[MetricEffects, Effect]]] = {}
    for one in findings.ranks:
        for effect in one.effects:
            if effect.is_significant and (effect.metric, effect.term, effect.levels) not in shown:
                found.setdefault((_what(effect), effect.estimate > 0), []).append((one, effect))
    said = []
    for (what, better), pairs in found.items():
        places = [f"{abs(e.estimate):.3g} places on {e.metric}" for _, e in pairs]
        worst = max(effect.p_holm or 0.0 for _, effect in pairs)
        said.append(
            Sentence(
                "good" if better else "bad",
                f"By ranks, a diverged run counting as worst, {what} is "
                f"{'better' if better else 'worse'} by {_listed(places)}, of "
                f"{pairs[0][0].num_runs}; p {_p(worst)}{_or_less(worst, len(pairs))} "
                "after Holm.",
            )
        )
    return said


def _or_less(p_value: float, count: int) -> str:
    return " or less" if count > 1 and p_value >= 0.001 else ""


def _differs(one: TimeRatio) -> bool:
    return one.low is not None and one.high is not None and not one.low <= 1 <= one.high


def _time_sentence(one: TimeRatio) -> Sentence:
    return Sentence(
        "note",
        f"{one.name} takes {one.ratio:.2f} times the training time of the base level "
        f"[{one.low or math.nan:.2f}, {one.high or math.nan:.2f}].",
    )
