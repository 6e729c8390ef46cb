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

from baselines.ablation.analysis.effects import Effect, MetricEffects
from baselines.ablation.analysis.open_questions import ALPHA, nothing_shown, open_questions
from baselines.ablation.analysis.outcomes import CollapseRule, FactorTest, OutcomeShare
from baselines.ablation.analysis.tradeoff import TimeRatio
from baselines.ablation.analysis.wording import (
    Which,
    amount,
    helps,
    p_words,
    tone_of,
    what,
    which,
)
from bench.metrics import METRICS
from bench.reporting.sentence import Sentence
from bench.tables.numbers import counted, listed, percent


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
    shown = [effect for one in findings.effects for effect in one.effects if effect.is_significant]
    ranked = _by_ranks_alone(findings)
    also = ["how often runs end badly"] if any(map(_matters, findings.factors)) else []
    also += ["which runs come out behind others, with diverged ones as the worst"] if ranked else []
    said = _headline(findings, ranked) if shown else [nothing_shown(findings.effects, also)]
    said += [_main_sentence(effect) for effect in shown if len(effect.term) == 1]
    said += [_interaction_sentence(effect) for effect in shown if len(effect.term) == 2]
    said += _outcome_sentences(findings)
    said += _rank_sentences(ranked)
    said += open_questions(findings.effects, {which(effect) for _, effect in ranked})
    said += [_time_sentence(one) for one in findings.times if _differs(one)]
    return said + _notes(findings.effects)


def _by_ranks_alone(findings: Findings) -> list[tuple[MetricEffects, Effect]]:
    """Effects that ranks show and values do not: in ranks diverged runs count as worst."""
    shown = {which(e) for one in findings.effects for e in one.effects if e.is_significant}
    return [
        (one, effect)
        for one in findings.ranks
        for effect in one.effects
        if effect.is_significant and which(effect) not in shown
    ]


def _headline(findings: Findings, ranked: Sequence[tuple[MetricEffects, Effect]]) -> list[Sentence]:
    """Of the first metric, which levels help, hurt, or are not shown to do either."""
    first = findings.effects[0]
    if METRICS[first.metric].direction == "target":
        return []
    places: dict[Which, bool] = {which(effect): effect.estimate > 0 for _, effect in ranked}
    by_verdict: dict[str, list[str]] = {"help": [], "hurt": [], "up": [], "down": [], "none": []}
    for effect in (effect for effect in first.effects if len(effect.term) == 1):
        if effect.is_significant:
            verdict = "help" if helps(effect.metric, effect.estimate) else "hurt"
        else:
            better = places.get(which(effect))
            verdict = "none" if better is None else "up" if better else "down"
        by_verdict[verdict].append(what(effect))
    if not by_verdict["help"] and not by_verdict["hurt"]:
        return []  # an interaction, or another metric
    parts = [
        f"{listed(names)} {verb if len(names) > 1 else f'{verb}s'}"
        for verb in ("help", "hurt")
        if (names := by_verdict[verb])
    ]
    parts += [
        f"{listed(names)} {'are' if len(names) > 1 else 'is'} {how} by ranks alone"
        for verdict, how in (("up", "better"), ("down", "worse"))
        if (names := by_verdict[verdict])
    ]
    parts += [f"of {listed(by_verdict['none'])} neither is shown"] if by_verdict["none"] else []
    text = f"On {first.metric}, the first metric of the plan: {'; '.join(parts)}."
    return [Sentence("good" if by_verdict["help"] else "bad", text)]


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


def _main_sentence(effect: Effect) -> Sentence:
    verdict = helps(effect.metric, effect.estimate)
    verb = {True: "helps", False: "hurts", None: "changes"}[verdict]
    said = f"{what(effect)} {verb} {effect.metric}: {amount(effect)}"
    if effect.standardised is not None:
        size = f"{abs(effect.standardised):.2g}"
        said += f"; {size} deviation{'' if size == '1' else 's'} of a run"
    if effect.aliases:
        said += f"; it cannot be told from {' and '.join(effect.aliases)}"
    return Sentence(tone_of(effect.metric, effect.estimate), f"{said}.")


def _interaction_sentence(effect: Effect) -> Sentence:
    verdict = helps(effect.metric, effect.estimate)
    how = {True: "are better than", False: "are worse than", None: "differ from"}[verdict]
    said = (
        f"{what(effect)} interact on {effect.metric}: both together {how} the sum of "
        f"each alone by {amount(effect)}"
    )
    if effect.aliases:
        said += f"; it cannot be told from {' and '.join(effect.aliases)}"
    return Sentence(tone_of(effect.metric, effect.estimate), f"{said}.")


def _matters(test: FactorTest) -> bool:
    return test.p_holm < ALPHA


def _outcome_sentences(findings: Findings) -> list[Sentence]:
    runs = sum(one.num_runs for one in findings.cells)
    if not runs:
        return []
    diverged = sum(one.num_diverged for one in findings.cells)
    collapsed = sum(one.num_collapsed for one in findings.cells)
    if not diverged + collapsed:
        return [Sentence("good", f"None of {counted(runs, 'run')} diverged or collapsed.")]
    told = f"Of {counted(runs, 'run')} {diverged} diverged and {collapsed} collapsed"
    said = [Sentence("bad", f"{told} ({findings.rule}).")]
    for test in findings.factors:
        shares = "; ".join(
            f"{one.group} {percent(one.share)} [{percent(one.low)}, {percent(one.high)}]"
            for one in test.shares
        )
        if _matters(test):
            said.append(
                Sentence(
                    "bad",
                    f"How often runs end badly depends on {test.factor}: {shares}, Fisher's p "
                    f"{p_words(test.p_holm)} after Holm.",
                )
            )
    if diverged + collapsed == runs:
        said.append(
            Sentence("note", "All ended badly, so that no factor can be seen to change how often.")
        )
    elif len(said) == 1 and findings.factors:
        said.append(Sentence("note", "No factor is shown to change how often that happens."))
    return said


def _rank_sentences(ranked: Sequence[tuple[MetricEffects, Effect]]) -> list[Sentence]:
    """What ranks say and values do not."""
    found: dict[tuple[str, bool], list[tuple[MetricEffects, Effect]]] = {}
    for one, effect in ranked:
        found.setdefault((what(effect), effect.estimate > 0), []).append((one, effect))
    said = []
    for (name, better), pairs in found.items():
        places = [f"{abs(e.estimate):.3g} places on {e.metric}" for _, e in pairs]
        worst = max(effect.p_holm or 0.0 for _, effect in pairs)
        said.append(
            Sentence(
                "good" if better else "bad",
                f"By ranks, a diverged run counting as worst, {name} is "
                f"{'better' if better else 'worse'} by {listed(places)}, of "
                f"{pairs[0][0].num_runs}; p {p_words(worst)}{_or_less(worst, len(pairs))} "
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
        f"{one.name} takes {one.ratio:.2f} times the training time (by the clock) of "
        f"the base level "
        f"[{one.low or math.nan:.2f}, {one.high or math.nan:.2f}].",
    )
