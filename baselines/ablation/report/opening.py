"""The opening of an ablation's page: at most five sentences for a reader without statistics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from baselines.ablation.analysis.analyse import Analysis
from baselines.ablation.analysis.conclusions import Findings, short
from baselines.ablation.analysis.effects import Effect
from baselines.ablation.analysis.outcomes import STATE, OutcomeShare
from baselines.ablation.analysis.ranking import is_better
from baselines.ablation.analysis.results import CELL, FINISHED
from baselines.ablation.analysis.simple import interacting
from baselines.ablation.design.cells import Run
from baselines.ablation.design.plan import AblationPlan
from baselines.ablation.design.short_names import cell_names
from baselines.ablation.report.facts import full_steps
from bench.metrics import METRICS
from bench.reporting.sentence import Sentence
from bench.tables.numbers import counted, listed, percent

MAX_SENTENCES = 5
MAX_EFFECTS = 4  # that one sentence names


def opening(analysis: Analysis, runs: Sequence[Run]) -> list[Sentence]:
    """Return what was done, how long it was trained, what failed, what helps or hurts on the first
    metric, and which combination is best.
    """
    found = [_what_was_done(analysis), _length(analysis.plan, runs), _failures(analysis)]
    found += [_effects(analysis), _best(analysis)]
    return [one for one in found if one is not None][:MAX_SENTENCES]


def _what_was_done(analysis: Analysis) -> Sentence:
    plan = analysis.plan
    factors = listed([factor.name for factor in plan.factors], most=6)
    text = (
        f"{counted(len(analysis.final), 'model')} of the recipe {plan.recipe} learned {plan.data}: "
        f"{counted(len(plan.made_design.cells), 'combination')} of {factors}, each with "
        f"{counted(len(plan.seeds), 'random start')}."
    )
    return Sentence("note", text)


def _length(plan: AblationPlan, runs: Sequence[Run]) -> Sentence | None:
    shares = [run.config.num_steps / full_steps(plan) for run in runs]
    if min(shares) >= 1:
        return None
    text = (
        f"Training stopped after {percent(min(shares))} of the usual steps, so this page is about "
        "the beginning of training and says nothing about finished models."
    )
    return Sentence("note", text)


def _failures(analysis: Analysis) -> Sentence | None:
    """Say which setting made runs fail: the strongest one that chance does not explain."""
    shown = [test for test in analysis.factors if test.p_holm < 0.05]
    num_bad = sum(_bad(share) for share in analysis.cells)
    if not num_bad:
        return None
    meaning = "that is, they broke off or show few of the classes"
    if not shown:
        total = sum(share.num_runs for share in analysis.cells)
        text = f"{num_bad} of {counted(total, 'run')} failed, {meaning}; no setting explains it."
        return Sentence("note", text)
    test = min(shown, key=lambda test: test.p_holm)
    parts = [
        f"{_bad(share)} of {share.num_runs} with {test.factor} {share.group}"
        for share in sorted(test.shares, key=lambda share: -share.share)
    ]
    return Sentence("bad", f"Failed runs, {meaning}: {listed(parts)}.")


def _bad(share: OutcomeShare) -> int:
    return share.num_diverged + share.num_collapsed


def _effects(analysis: Analysis) -> Sentence | None:
    """Say what helps and what hurts on the first metric, and what is undecided."""
    if not analysis.effects:  # no run has a value
        return None
    first = analysis.effects[0]
    averaged = Findings(effects=analysis.effects, simple=analysis.simple).averaged
    found: list[tuple[Effect, str]] = [
        (effect, f"{effect.term[0]} ({effect.levels[0]})")
        for effect in first.effects
        if len(effect.term) == 1
        and effect.is_significant
        and (first.metric, effect.term[0]) not in averaged
    ]
    found += [
        (one.effect, f"{one.factor} ({one.effect.levels[0]}) where {one.partner} is "
                     f"{one.partner_level}")
        for one in analysis.simple
        if one.metric == first.metric and one.effect.is_significant
    ]  # fmt: skip
    helps = [_changes(e, name) for e, name in found if is_better(first.metric, e.estimate) is True]
    hurts = [_changes(e, name) for e, name in found if is_better(first.metric, e.estimate) is False]
    decided = {effect.term[0] for effect, _ in found} | set(interacting(first))
    others = [factor.name for factor in analysis.plan.factors if factor.name not in decided]
    parts = [
        f"{verb} {listed(names, most=MAX_EFFECTS)}"
        for verb, names in (
            ("better with", helps),
            ("worse with", hurts),
            ("undecided about", others),
        )
        if names
    ]
    way = {"lower": "lower", "higher": "higher"}.get(METRICS[first.metric].direction, "near ideal")
    text = f"The {first.metric}, where {way} is better, is {'; '.join(parts)}."
    return Sentence("bad" if hurts and not helps else "good" if helps else "gap", text)


def _changes(effect: Effect, name: str) -> str:
    return f"{name}, by {short(abs(effect.estimate))}"


def _best(analysis: Analysis) -> Sentence | None:
    """Name the combination with the best mean of the first metric; this is no test."""
    metric = analysis.plan.metrics[0]
    direction = METRICS[metric].direction
    finished = analysis.final[analysis.final[STATE] == FINISHED]
    if direction == "target" or metric not in finished or finished.empty:
        return None
    found = finished.groupby(CELL)[metric].mean().dropna()
    means = {str(cell): float(mean) for cell, mean in found.items()}
    if len(means) < 2:
        return None
    best = (max if direction == "higher" else min)(means, key=lambda cell: means[cell])
    names = cell_names(analysis.plan)
    text = f"Best mean {metric} of finished runs: {short(means[best])} with {names[best]}"
    if best != analysis.base and analysis.base in means:
        text += f"; {short(means[analysis.base])} with {names[analysis.base]}"
    perfect = analysis.perfect.get(metric)
    if perfect is not None:
        text += f"; real images have {short(perfect)}"
    return Sentence("note", f"{text}.")


def as_text(sentences: Iterable[Sentence]) -> str:
    """Return the opening as one paragraph."""
    return " ".join(sentence.text for sentence in sentences)
