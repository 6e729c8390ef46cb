"""Everything that an ablation's results say, computed once: what a report shows.

Results may be of part of the plan: what is there is analysed, and `num_missing` tells how many runs
have no result yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from baselines.ablation.cells import Run, make_runs
from baselines.ablation.conclusions import Findings, conclusions
from baselines.ablation.curves import CurvePoint, Efficiency, curves, efficiencies
from baselines.ablation.designs import Fraction
from baselines.ablation.effects import MetricEffects, analysed
from baselines.ablation.outcomes import (
    CollapseRule,
    FactorTest,
    OutcomeShare,
    cell_outcomes,
    factor_outcomes,
    with_states,
)
from baselines.ablation.paired import PairedDifference, paired_differences
from baselines.ablation.plan import AblationPlan
from baselines.ablation.ranking import rank_effects
from baselines.ablation.results import CELL, RunResult, curve_frame, final_frame
from baselines.ablation.tradeoff import Arrow, TimeRatio, arrows, cell_time_ratios, time_ratios
from bench.errors import NothingFoundError
from bench.reporting.words import Sentence


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """`final` has a row for each run, with its `state`; `curve` one for each evaluation. Curves
    are by metric, of cells. `base` is the label of the cell that others are compared with;
    differences and efficiencies are empty where it has no result.
    """

    plan: AblationPlan
    base: str
    final: pd.DataFrame
    curve: pd.DataFrame
    perfect: Mapping[str, float | None]
    num_missing: int
    effects: Sequence[MetricEffects]
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


def analyse(
    plan: AblationPlan, results: Mapping[str, RunResult], rule: CollapseRule | None = None
) -> Analysis:
    """The analysis of a plan's results, by key of the run. Raises `NothingFoundError` when no run
    of the plan has one.
    """
    runs, rule = make_runs(plan), rule or CollapseRule()
    known = [run for run in runs if run.key in results]
    if not known:
        raise NothingFoundError(f"plan {plan.name!r}: none of {len(runs)} runs has a result yet")
    base = next(run.label for run in runs if run.is_base)
    perfect = _perfect(known, results)
    final = with_states(final_frame(runs, results), perfect, rule)
    curve = curve_frame(runs, results)
    effects = analysed(final, plan.levels, plan.metrics)
    findings = Findings(
        effects=effects,
        ranks=rank_effects(final, plan.levels, plan.metrics, perfect),
        cells=cell_outcomes(final),
        factors=factor_outcomes(final, plan.levels),
        times=time_ratios(final, plan.levels),
        rule=rule,
    )
    has_base = base in set(final[CELL])
    curved = not curve.empty and base in set(curve[CELL])
    fraction = plan.made_design.fraction
    missing = len(runs) - len(known)
    return Analysis(
        plan=plan,
        base=base,
        final=final,
        curve=curve,
        perfect=perfect,
        num_missing=missing,
        effects=effects,
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
        sentences=[*_about(missing, len(runs), fraction), *conclusions(findings)],
    )


def _perfect(runs: Sequence[Run], results: Mapping[str, RunResult]) -> dict[str, float | None]:
    """What real images score, from the first run that says so."""
    found: dict[str, float | None] = {}
    for run in runs:
        for metric, value in results[run.key].perfect.items():
            if found.get(metric) is None:
                found[metric] = value
    return found


def _about(missing: int, num_runs: int, fraction: Fraction | None) -> list[Sentence]:
    said = []
    if missing:
        said.append(Sentence("bad", f"{missing} of {num_runs} runs have no result yet."))
    if fraction is not None:
        relation = " = ".join(map(str, fraction.defining_relation))
        said.append(Sentence("note", f"The design is a fraction, {fraction.name}: I = {relation}."))
    return said
