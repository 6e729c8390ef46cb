"""The conclusions of an ablation in words: what helps, what hurts, what interacts, what is open.

A sentence states numbers of the analysis and nothing else. An effect is reported only if it is
significant at 5 % over all effects and metrics together (Holm). Every other effect is reported as
open, with the number of seeds that would give 80 % power if the estimate were the true effect (at
5 % over the number of effects, Holm's first step), and the effect size that these runs would find.
An estimate that is large by chance makes that number too small: take it as a lower bound.

Where a significant interaction changes a factor's effect, its average over the other factors is not
reported; the simple effects within the interaction are.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from baselines.ablation.analysis.coding import Term
from baselines.ablation.analysis.effects import NEGLIGIBLE, Effect, MetricEffects
from baselines.ablation.analysis.outcomes import CollapseRule, FactorTest, OutcomeShare
from baselines.ablation.analysis.ranking import is_better
from baselines.ablation.analysis.simple import SimpleEffect, interacting
from baselines.ablation.analysis.tradeoff import TimeRatio
from bench.metrics import METRICS
from bench.reporting.sentence import Sentence, Tone
from bench.statistics.intervals import LEVEL
from bench.statistics.power import detectable, seeds_needed
from bench.tables.numbers import counted, listed, percent

ALPHA = 1 - LEVEL
MAX_OPEN = 6  # open effects that get a sentence each
MAX_NAMES = 100  # names in one sentence

Identity = tuple[str, Term, tuple[str, ...]]  # of an effect, on values and on ranks alike
Ranked = tuple[MetricEffects, Effect]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the sentences are about: effects `analysed` together, the simple effects within their
    interactions, main effects on ranks, outcomes of cells and factors, and time ratios of the
    factors' levels.
    """

    effects: Sequence[MetricEffects]
    simple: Sequence[SimpleEffect] = ()
    ranks: Sequence[MetricEffects] = ()
    cells: Sequence[OutcomeShare] = ()
    factors: Sequence[FactorTest] = ()
    times: Sequence[TimeRatio] = ()
    rule: CollapseRule = field(default_factory=CollapseRule)

    @property
    def averaged(self) -> set[tuple[str, str]]:
        """Metrics and factors whose main effect is an average over a significant interaction."""
        return {(one.metric, factor) for one in self.effects for factor in interacting(one)}


def conclusions(findings: Findings) -> list[Sentence]:
    """Return the conclusions of an ablation, the most important first."""
    shown = [effect for one in findings.effects for effect in one.effects if effect.is_significant]
    ranked = _by_ranks_only(findings)
    found = _headline(findings, ranked) if shown else [_nothing_shown(findings, ranked)]
    averaged = findings.averaged
    found += [
        _main_sentence(effect)
        for effect in shown
        if len(effect.term) == 1 and (effect.metric, effect.term[0]) not in averaged
    ]
    found += [_interaction_sentence(effect) for effect in shown if len(effect.term) == 2]
    found += _simple_sentences(findings)
    found += _outcome_sentences(findings)
    found += _rank_sentences(ranked)
    found += _open_questions(findings, {_identity(effect) for _, effect in ranked})
    found += [_time_sentence(one) for one in findings.times if _differs(one)]
    return found + _notes(findings.effects)


def short(value: float, *, sign: bool = False, digits: int = 3) -> str:
    """Return a number with three significant digits, thousands written out.

    >>> short(-0.04211), short(1784.6, sign=True), short(2.13e9)
    ('-0.0421', '+1,780', '2.13e+09')
    """
    mark = "+" if sign else ""
    if 10**digits <= abs(value) < 1e7:
        return f"{float(f'{value:.{digits}g}'):{mark},.0f}"
    return f"{value:{mark}.{digits}g}"


def _identity(effect: Effect) -> Identity:
    return effect.metric, effect.term, effect.levels


def _name(effect: Effect) -> str:
    """Return a text such as "label-noise (on)" or "label-noise (on) and replay-buffer (on)"."""
    pairs = zip(effect.term, effect.levels, strict=True)
    return " and ".join(f"{factor} ({level})" for factor, level in pairs)


def _tone(metric: str, estimate: float) -> Tone:
    verdict = is_better(metric, estimate)
    return "note" if verdict is None else "good" if verdict else "bad"


def _amount(effect: Effect) -> str:
    """Return estimate, interval and corrected p-value."""
    text = short(effect.estimate, sign=True)
    if effect.low is not None and effect.high is not None:
        text += f" [{short(effect.low, sign=True)}, {short(effect.high, sign=True)}]"
    if effect.p_holm is not None:
        text += f", p {_p_value(effect.p_holm)} after Holm"
    return text


def _p_value(value: float) -> str:
    return "< .001" if value < 0.001 else f"{value:.2g}"


def _by_ranks_only(findings: Findings) -> list[Ranked]:
    """Return the effects that are significant on ranks, where diverged runs are worst, but not on
    values; averages over a significant interaction are left out.
    """
    shown = {_identity(e) for one in findings.effects for e in one.effects if e.is_significant}
    return [
        (one, effect)
        for one in findings.ranks
        for effect in one.effects
        if effect.is_significant
        and _identity(effect) not in shown
        and (effect.metric, effect.term[0]) not in findings.averaged
    ]


def _headline(findings: Findings, ranked: Sequence[Ranked]) -> list[Sentence]:
    """Return which levels help, hurt, or show no effect on the first metric."""
    first = findings.effects[0]
    if METRICS[first.metric].direction == "target":
        return []
    places = {_identity(effect): effect.estimate > 0 for _, effect in ranked}
    groups: dict[str, list[str]] = {"help": [], "hurt": [], "better": [], "worse": [], "open": []}
    for effect in (effect for effect in first.effects if len(effect.term) == 1):
        if (effect.metric, effect.term[0]) in findings.averaged:
            for one in findings.simple:
                if _identity(one.effect) == _identity(effect):
                    groups[_group(one.effect)].append(f"{_name(effect)} {_where(one)}")
        elif effect.is_significant:
            groups[_group(effect)].append(_name(effect))
        else:
            better = places.get(_identity(effect))
            group = "open" if better is None else "better" if better else "worse"
            groups[group].append(_name(effect))
    if not groups["help"] and not groups["hurt"]:
        return []  # an interaction, or another metric
    parts = [
        f"{listed(names, most=MAX_NAMES)} {verb if len(names) > 1 else f'{verb}s'}"
        for verb in ("help", "hurt")
        if (names := groups[verb])
    ]
    parts += [
        f"{listed(names, most=MAX_NAMES)} {'are' if len(names) > 1 else 'is'} {how} by ranks only"
        for how in ("better", "worse")
        if (names := groups[how])
    ]
    if groups["open"]:
        parts.append(f"no effect is shown for {listed(groups['open'], most=MAX_NAMES)}")
    text = f"On {first.metric}, the first metric of the plan: {'; '.join(parts)}."
    return [Sentence("good" if groups["help"] else "bad", text)]


def _group(effect: Effect) -> str:
    """Return "help" or "hurt", or "open" if nothing that matters is shown."""
    if not effect.is_significant or effect.is_negligible:
        return "open"
    return "help" if is_better(effect.metric, effect.estimate) else "hurt"


def _where(one: SimpleEffect) -> str:
    return f"with {one.partner} ({one.partner_level})"


def _nothing_shown(findings: Findings, ranked: Sequence[Ranked]) -> Sentence:
    """Return the sentence for no significant effect on values, with what else is significant, or
    how many seeds would be needed.
    """
    effects = findings.effects
    family = _num_tested(effects)
    if not family:
        if effects and all(one.num_seeds == 1 for one in effects):
            return Sentence(
                "note",
                "One seed allows no conclusions: no effect has an interval, and the number of "
                "seeds needed is unknown. Run two or more seeds.",
            )
        return Sentence("note", "Nothing can be concluded: no effect has an interval.")
    tested = (
        f"none of {family} tested effects exceeds"
        if family > 1
        else "the one tested effect does not exceed"
    )
    text = (
        f"No effect on the values of a metric is significant at 5 %: {tested} the variation "
        "between seeds, after Holm's correction."
    )
    also = ["how often runs diverge or collapse"] if any(map(_matters, findings.factors)) else []
    also += ["effects on ranks, which count diverged runs as worst"] if ranked else []
    if also:
        return Sentence("note", f"{text} Significant, and described below: {listed(also)}.")
    text += " This does not show that there are no effects."
    for analysis, effect in _open_effects(effects)[:1]:
        seeds = needed(analysis, effect, ALPHA / family)
        text += f" The closest is {_name(effect)} on {effect.metric}: " + (
            f"if its estimate is the true effect, about {counted(seeds, 'seed')} are needed to "
            f"show it; this study has {analysis.num_seeds}."
            if seeds is not None
            else "no feasible number of seeds would show an effect of this size."
        )
    return Sentence("note", text)


def _main_sentence(effect: Effect) -> Sentence:
    verdict = is_better(effect.metric, effect.estimate)
    verb = {True: "improves", False: "worsens", None: "changes"}[verdict]
    text = f"{_name(effect)} {verb} {effect.metric}: {_amount(effect)}"
    if effect.is_negligible:
        text += (
            f"; negligible, less than {NEGLIGIBLE:.0%} of what real images or the median run get"
        )
        return Sentence("note", f"{text}{_aliases(effect)}.")
    if effect.standardised is not None:
        size = f"{abs(effect.standardised):.2g}"
        text += f"; {size} standard deviation{'' if size == '1' else 's'} of a run"
    return Sentence(_tone(effect.metric, effect.estimate), f"{text}{_aliases(effect)}.")


def _simple_sentences(findings: Findings) -> list[Sentence]:
    """Return a sentence for each factor of a significant interaction, with its simple effects."""
    groups: dict[tuple[Identity, str], list[SimpleEffect]] = {}
    for one in findings.simple:
        groups.setdefault((_identity(one.effect), one.partner), []).append(one)
    found = []
    for several in groups.values():
        effect = several[0].effect
        parts = "; ".join(f"{_amount(one.effect)} {_where(one)}" for one in several)
        shown = {_group(one.effect) for one in several} - {"open"}
        tone: Tone = "note"
        if METRICS[effect.metric].direction != "target":
            tone = "bad" if "hurt" in shown else "good" if shown else "note"
        text = f"{_name(effect)} changes {effect.metric} by {parts}."
        found.append(Sentence(tone, text))
    return found


def _interaction_sentence(effect: Effect) -> Sentence:
    verdict = is_better(effect.metric, effect.estimate)
    how = {True: "is better than", False: "is worse than", None: "differs from"}[verdict]
    text = (
        f"{_name(effect)} interact on {effect.metric}: their combination {how} the sum of their "
        f"separate effects by {_amount(effect)}"
    )
    if effect.is_negligible:
        return Sentence("note", f"{text}; negligible{_aliases(effect)}.")
    return Sentence(_tone(effect.metric, effect.estimate), f"{text}{_aliases(effect)}.")


def _aliases(effect: Effect) -> str:
    if not effect.aliases:
        return ""
    return f"; this design cannot separate it from {listed(effect.aliases, most=MAX_NAMES)}"


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
    text = f"Of {counted(runs, 'run')}, {diverged} diverged and {collapsed} collapsed"
    found = [Sentence("bad", f"{text} ({findings.rule}).")]
    for test in filter(_matters, findings.factors):
        shares = "; ".join(
            f"{one.group} {percent(one.share)} [{percent(one.low)}, {percent(one.high)}]"
            for one in test.shares
        )
        found.append(
            Sentence(
                "bad",
                f"The share of runs that diverge or collapse depends on {test.factor}: {shares}, "
                f"Fisher's p {_p_value(test.p_holm)} after Holm.",
            )
        )
    if diverged + collapsed == runs:
        text = "All runs diverged or collapsed, so no factor can be seen to change how often."
        found.append(Sentence("note", text))
    elif len(found) == 1 and findings.factors:
        found.append(Sentence("note", "No factor is shown to change how often that happens."))
    return found


def _rank_sentences(ranked: Sequence[Ranked]) -> list[Sentence]:
    """Return the effects that are significant on ranks only."""
    groups: dict[tuple[str, bool], list[Ranked]] = {}
    for one, effect in ranked:
        groups.setdefault((_name(effect), effect.estimate > 0), []).append((one, effect))
    found = []
    for (name, better), pairs in groups.items():
        places = [f"{abs(e.estimate):.3g} places on {e.metric}" for _, e in pairs]
        worst = max(effect.p_holm or 0.0 for _, effect in pairs)
        bound = " or less" if len(pairs) > 1 and worst >= 0.001 else ""
        text = (
            f"By ranks, which count diverged runs as worst, {name} is "
            f"{'better' if better else 'worse'} by {listed(places, most=MAX_NAMES)}, of "
            f"{pairs[0][0].num_runs}; p {_p_value(worst)}{bound} after Holm."
        )
        found.append(Sentence("good" if better else "bad", text))
    return found


def _num_tested(effects: Sequence[MetricEffects]) -> int:
    """Return the number of tested effects of all metrics, the family of Holm's correction."""
    return sum(effect.p_value is not None for one in effects for effect in one.effects)


def _open_effects(
    analyses: Sequence[MetricEffects], averaged: Collection[tuple[str, str]] = ()
) -> list[tuple[MetricEffects, Effect]]:
    """Return the main effects that are tested but not significant, by rising p-value, without those
    of `averaged`.
    """
    found = [
        (one, effect)
        for one in analyses
        for effect in one.effects
        if len(effect.term) == 1
        and effect.p_value is not None
        and not effect.is_significant
        and (effect.metric, effect.term[0]) not in averaged
    ]
    return sorted(found, key=lambda pair: pair[1].p_value or 0.0)


def needed(analysis: MetricEffects, effect: Effect, alpha: float = ALPHA) -> int | None:
    """Return the seeds needed for 80 % power if the estimate is the true effect, every cell being
    run with every seed. None for more than `power.MAX_SEEDS`, or if the variance is not known.
    """
    if effect.standard_error is None or effect.df is None:
        return None
    known = effect.df / analysis.df  # unequal variances leave fewer
    cells = analysis.num_runs / analysis.num_seeds
    terms = analysis.num_columns - (analysis.num_seeds - 1)

    def df(seeds: int) -> float:
        return known * (cells * seeds - terms - (seeds - 1))

    unit = effect.standard_error * analysis.num_seeds**0.5
    return seeds_needed(effect.estimate, unit, df, alpha=alpha)


def _open_questions(findings: Findings, ranked: Collection[Identity]) -> list[Sentence]:
    """Return the main effects that are not shown; those in `ranked` are shown by ranks."""
    alpha = ALPHA / max(_num_tested(findings.effects), 1)
    still_open = _open_effects(findings.effects, findings.averaged)
    found = []
    for analysis, effect in still_open[:MAX_OPEN]:
        assert effect.standard_error is not None  # noqa: S101  (it has a p-value)
        assert effect.df is not None  # noqa: S101
        seeds = needed(analysis, effect, alpha)
        least = detectable(effect.standard_error, effect.df, alpha=alpha)
        power = (
            "no feasible number of seeds finds an effect of this size with 80 % power"
            if seeds is None
            else f"about {counted(seeds, 'seed')} would find an effect of this size with 80 % power"
        )
        where = " among finished runs" if _identity(effect) in ranked else ""
        text = (
            f"It is open whether {_name(effect)} changes {effect.metric}{where}: "
            f"{_amount(effect)}; {power}, {analysis.num_seeds} find one of {short(least)}."
        )
        found.append(Sentence("gap", text))
    if len(still_open) > MAX_OPEN:
        further = counted(len(still_open) - MAX_OPEN, "further main effect")
        found.append(Sentence("gap", f"The same is open for {further}; see the table of effects."))
    return found


def _differs(one: TimeRatio) -> bool:
    return one.low is not None and one.high is not None and not one.low <= 1 <= one.high


def _time_sentence(one: TimeRatio) -> Sentence:
    interval = f"[{one.low or math.nan:.2f}, {one.high or math.nan:.2f}]"
    text = f"{one.name} takes {one.ratio:.2f} {interval} times the base level's training time"
    return Sentence("note", f"{text}, by the clock.")


def _notes(analyses: Sequence[MetricEffects]) -> list[Sentence]:
    """Return the limits of the analyses, each once with the metrics it applies to."""
    about: dict[str, list[str]] = {}
    for one in analyses:
        for note in one.notes:
            about.setdefault(note, []).append(one.metric)
    found = []
    for note, metrics in about.items():
        where = "all metrics" if len(metrics) == len(analyses) > 1 else ", ".join(metrics)
        found.append(Sentence("note", f"On {where}: {note}."))
    return found
