"""The whole analysis of an ablation's results, as a report shows it.

If some runs have no result yet, the others are analysed, and `num_missing` counts the missing ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from baselines.ablation.analysis.conclusions import Findings, conclusions
from baselines.ablation.analysis.curves import CurvePoint, Efficiency, curves, efficiencies
from baselines.ablation.analysis.effects import MetricEffects, analysed
from baselines.ablation.analysis.outcomes import (
    CollapseRule,
    FactorTest,
    OutcomeShare,
    cell_outcomes,
    factor_outcomes,
    with_states,
)
from baselines.ablation.analysis.paired import PairedDifference, paired_differences
from baselines.ablation.analysis.ranking import rank_effects
from baselines.ablation.analysis.results import (
    CELL,
    FINISHED,
    OUTCOME,
    SEED,
    RunResult,
    curve_frame,
    final_frame,
)
from baselines.ablation.analysis.simple import SimpleEffect, simple_effects
from baselines.ablation.analysis.tradeoff import (
    Arrow,
    TimeRatio,
    arrows,
    cell_time_ratios,
    time_ratios,
)
from baselines.ablation.design.cells import Run, make_runs
from baselines.ablation.design.designs import Fraction
from baselines.ablation.design.plan import AblationPlan
from baselines.ablation.design.short_names import cell_names
from bench.errors import NothingFoundError
from bench.reporting.sentence import Sentence
from bench.tables.numbers import counted


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """The analysis of a plan's results. `final` has a row for each run, with its `state`; `curve`
    has a row for each evaluation; `curves` are by metric, for cells. `base` is the label of the
    cell that others are compared with; differences and efficiencies are empty if it has no result.
    """

    plan: AblationPlan
    base: str
    final: pd.DataFrame
    curve: pd.DataFrame
    perfect: Mapping[str, float | None]
    num_missing: int
    effects: Sequence[MetricEffects]
    simple: Sequence[SimpleEffect]
    ranks: Sequence[MetricEffects]
    differences: Sequence[PairedDifference]
    cells: Sequence[OutcomeShare]
    factors: Sequence[FactorTest]
    arrows: Sequence[Arrow]
    curves: Mapping[str, Sequence[CurvePoint]]
    efficiencies: Sequence[Efficiency]
    times: Sequence[TimeRatio]
    cell_times: Sequence[TimeRatio]
    sentences: Sequence[Sentence]

    @property
    def has_one_seed(self) -> bool:
        """Whether there is one seed, so that nothing has an interval."""
        return self.final[SEED].nunique() == 1


def analyse(
    plan: AblationPlan, results: Mapping[str, RunResult], rule: CollapseRule | None = None
) -> Analysis:
    """Return the analysis of results by key of the run.

    Raises `NothingFoundError` if no run of the plan has a result.
    """
    runs, rule = make_runs(plan), rule or CollapseRule()
    known = [run for run in runs if run.key in results]
    if not known:
        raise NothingFoundError(f"plan {plan.name!r}: none of {len(runs)} runs has a result yet")
    base = next(run.label for run in runs if run.is_base)
    perfect = _perfect(known, results)
    final = with_states(final_frame(runs, results), perfect, rule)
    curve = curve_frame(runs, results)
    effects = analysed(final, plan.levels, plan.metrics, perfect)
    findings = Findings(
        effects=effects,
        simple=simple_effects(final, plan.levels, effects, perfect),
        ranks=rank_effects(final, plan.levels, plan.metrics, perfect),
        cells=cell_outcomes(final),
        factors=factor_outcomes(final, plan.levels),
        times=time_ratios(final, plan.levels),
        rule=rule,
    )
    has_base = base in set(final[CELL])
    curved = not curve.empty and base in set(curve[CELL])
    missing = len(runs) - len(known)
    limits = [
        *_about(missing, len(runs), plan.made_design.fraction),
        *_without_values(plan, final),
        *_without_base(plan, final, base),
        *_without_times([results[run.key] for run in known]),
    ]
    return Analysis(
        plan=plan,
        base=base,
        final=final,
        curve=curve,
        perfect=perfect,
        num_missing=missing,
        effects=effects,
        simple=findings.simple,
        ranks=findings.ranks,
        differences=paired_differences(final, plan.metrics, base) if has_base else (),
        cells=findings.cells,
        factors=findings.factors,
        arrows=arrows(final, plan.levels, effects),
        curves={} if curve.empty else {metric: curves(curve, metric) for metric in plan.metrics},
        efficiencies=[
            found
            for metric in (plan.metrics if curved else ())
            for found in efficiencies(curve, metric, base, perfect)
        ],
        times=findings.times,
        cell_times=cell_time_ratios(final, base),
        sentences=[*limits, *conclusions(findings)],
    )


def _perfect(runs: Sequence[Run], results: Mapping[str, RunResult]) -> dict[str, float | None]:
    """Return the scores of real images, each from the first run that has one."""
    found: dict[str, float | None] = {}
    for run in runs:
        for metric, value in results[run.key].perfect.items():
            if found.get(metric) is None:
                found[metric] = value
    return found


def _about(missing: int, num_runs: int, fraction: Fraction | None) -> list[Sentence]:
    """Return what to know about the plan: missing runs, and the fraction it is."""
    found = []
    if missing:
        have = "has" if missing == 1 else "have"
        found.append(
            Sentence("bad", f"{missing} of {counted(num_runs, 'run')} {have} no result yet.")
        )
    if fraction is not None:
        relation = " = ".join(map(str, fraction.defining_relation))
        text = f"The design is a fraction, {fraction.name}: I = {relation}."
        found.append(Sentence("note", text))
    return found


def _without_values(plan: AblationPlan, final: pd.DataFrame) -> list[Sentence]:
    """Return the metrics without values to compare. Diverged runs are left to the outcomes."""
    finished = final[final[OUTCOME] == FINISHED]
    if finished.empty:
        return [
            Sentence(
                "bad", f"No run finished, so nothing is known about {', '.join(plan.metrics)}."
            )
        ]
    counts = {metric: int(finished[metric].notna().sum()) for metric in plan.metrics}
    none = [metric for metric, count in counts.items() if count == 0]
    single = [metric for metric, count in counts.items() if count == 1]
    found = []
    if none:
        found.append(
            Sentence(
                "bad",
                f"No run has a value of {', '.join(none)}: there are too few images, or the "
                "extractor does not support it.",
            )
        )
    if single:
        names = ", ".join(single)
        text = f"Only one run has a value of {names}, so nothing can be compared."
        found.append(Sentence("bad", text))
    return found


def _without_base(plan: AblationPlan, final: pd.DataFrame, base: str) -> list[Sentence]:
    """Return why other cells cannot be compared with the base, if so."""
    own = final[final[CELL] == base]
    name = f"the base cell ({cell_names(plan)[base]})"
    if own.empty:
        why = f"No run of {name} has a result yet"
    elif (own[OUTCOME] != FINISHED).all():
        why = f"Every run of {name} diverged"
    else:
        return []
    text = f"{why}, so there are no differences, steps or times relative to it."
    return [Sentence("bad", text)]


def _without_times(results: Sequence[RunResult]) -> list[Sentence]:
    num = sum(result.shared for result in results)
    if not num:
        return []
    return [
        Sentence(
            "note",
            f"{counted(num, 'run')} trained in one program with runs of other cells and share its "
            "time evenly, so they do not show what a trick costs; --stack 1 measures that.",
        )
    ]
