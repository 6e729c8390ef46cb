"""Everything that an ablation's results say, computed once: what a report shows.

Results may be of part of the plan: what is there is analysed, and `num_missing` tells how many runs
have no result yet.
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
from baselines.ablation.analysis.tradeoff import (
    Arrow,
    TimeRatio,
    arrows,
    cell_time_ratios,
    time_ratios,
)
from baselines.ablation.design.cells import Run, make_runs
from baselines.ablation.design.designs import Fraction
from baselines.ablation.design.naming import cell_names
from baselines.ablation.design.plan import AblationPlan
from bench.errors import NothingFoundError
from bench.reporting.sentence import Sentence
from bench.tables.numbers import counted


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

    @property
    def has_one_seed(self) -> bool:
        """Whether nothing tells how seeds differ."""
        return self.final[SEED].nunique() == 1


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
        have = "has" if missing == 1 else "have"
        said.append(
            Sentence("bad", f"{missing} of {counted(num_runs, 'run')} {have} no result yet.")
        )
    if fraction is not None:
        relation = " = ".join(map(str, fraction.defining_relation))
        said.append(Sentence("note", f"The design is a fraction, {fraction.name}: I = {relation}."))
    return said


def _without_values(plan: AblationPlan, final: pd.DataFrame) -> list[Sentence]:
    """Metrics that nothing can be said of; of diverged runs the outcomes speak."""
    finished = final[final[OUTCOME] == FINISHED]
    if finished.empty:
        return [
            Sentence("bad", f"No run finished: of {', '.join(plan.metrics)} nothing can be said.")
        ]
    counts = {metric: int(finished[metric].notna().sum()) for metric in plan.metrics}
    none = [metric for metric, count in counts.items() if count == 0]
    single = [metric for metric, count in counts.items() if count == 1]
    said = []
    if none:
        said.append(
            Sentence(
                "bad",
                f"No run has a value of {', '.join(none)}, so nothing is said of it: too few "
                "images, or an extractor that cannot tell it.",
            )
        )
    if single:
        said.append(
            Sentence("bad", f"One run alone has a value of {', '.join(single)}: nothing compares.")
        )
    return said


def _without_base(plan: AblationPlan, final: pd.DataFrame, base: str) -> list[Sentence]:
    """Why other cells cannot be compared with the base."""
    own = final[final[CELL] == base]
    name = f"the base cell ({cell_names(plan)[base]})"
    if own.empty:
        why = f"No run of {name} has a result yet"
    elif (own[OUTCOME] != FINISHED).all():
        why = f"Every run of {name} diverged"
    else:
        return []
    text = f"{why}: there are no differences from it, and no steps or times over its own."
    return [Sentence("bad", text)]


def _without_times(results: Sequence[RunResult]) -> list[Sentence]:
    num = sum(result.shared for result in results)
    if not num:
        return []
    return [
        Sentence(
            "note",
            f"{counted(num, 'run')} trained in one program with runs of other cells, whose time is "
            "shared evenly: what a trick costs in time is not told by them; --stack 1 measures it.",
        )
    ]
