"""The whole analysis of a plan, on results with known effects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from baselines.ablation.analysis.analyse import Analysis, analyse
from baselines.ablation.analysis.results import Evaluation, RunResult
from baselines.ablation.design.cells import Run, make_runs
from baselines.ablation.design.plan import RESERVED, AblationPlan, parse_plan
from baselines.ablation.design.presets import preset_plan
from bench.errors import NothingFoundError, UsageError

METRICS = ["fid", "precision_k3", "recall_k3", "coverage_k5", "modes_covered", "density_k5"]
PERFECT = {"fid": 0.2, "coverage_k5": 0.97, "modes_covered": 10.0, "density_k5": 1.0}


def result_of(run: Run) -> RunResult:
    """The non-saturating loss takes 20 off the FID; without it a minibatch layer diverges for all
    seeds but the first, and label noise costs time.
    """
    on = {factor for factor, level in run.levels.items() if level == "on"}
    generator = np.random.default_rng([run.seed, run.cell])
    train_s = 100.0 * (1.3 if "label-noise" in on else 1.0) * (1 + 0.02 * generator.normal())
    if "non-saturating" not in on and "minibatch-discrimination" in on and run.seed:
        return RunResult(key=run.key, outcome="diverged", reason="g_loss is not finite at step 9")
    rows = []
    for share, step in zip(np.linspace(0.2, 1, len(run.evaluations)), run.evaluations, strict=True):
        fid = 60 / share - 20 * ("non-saturating" in on) + generator.normal()
        values = {
            "fid": float(fid),
            "precision_k3": 0.5 + 0.1 * ("non-saturating" in on) + 0.01 * generator.normal(),
            "recall_k3": 0.3 + 0.01 * generator.normal(),
            "coverage_k5": 0.4 + 0.01 * generator.normal(),
            "modes_covered": 4.0 if "replay-buffer" in on and run.seed == 1 else 10.0,
            "density_k5": 0.8 + 0.01 * generator.normal(),
        }
        rows.append(Evaluation(step=step, values=values, train_s=train_s * float(share)))
    return RunResult(
        key=run.key,
        outcome="finished",
        evaluations=tuple(rows),
        train_s=train_s,
        perfect=PERFECT,
    )


def analysed_plan(plan: AblationPlan) -> Analysis:
    return analyse(plan, {run.key: result_of(run) for run in make_runs(plan)})


def test_the_whole_factorial() -> None:
    found = analysed_plan(preset_plan("course", metrics=METRICS, seeds=4))
    assert len(found.final) == 64
    assert found.num_missing == 0
    assert found.base == (
        "label-noise=off, replay-buffer=off, minibatch-discrimination=off, non-saturating=off"
    )
    text = "\n".join(sentence.text for sentence in found.sentences)
    assert "non-saturating (on) improves fid: -20" in text or "improves fid: -19" in text
    assert "non-saturating (on) improves precision_k3: +0." in text
    assert text.count("12 runs have no value and are left out") == 1
    assert "Of 64 runs, 12 diverged" in text
    ratios = {one.name: one.ratio for one in found.times}
    assert ratios["label-noise=on"] == pytest.approx(1.3, rel=0.02)
    assert "label-noise=on takes 1." in text
    assert "minibatch-discrimination (on) is worse" in text  # by ranks
    assert len(found.differences) > 15 * 3
    assert {arrow.factor for arrow in found.arrows} == set(found.plan.levels)
    assert len(found.curves["fid"]) >= 16 * 5
    fast = [e for e in found.efficiencies if e.metric == "fid" and "saturating=on" in e.cell]
    assert all(e.num_censored == 0 and e.ratio is not None and e.ratio < 1 for e in fast)
    assert {one.metric for one in found.ranks} == set(METRICS)


def test_a_fraction_says_what_it_cannot_tell() -> None:
    plan = preset_plan(
        "course", metrics=["fid"], seeds=3, design="fractional-factorial", resolution=4
    )
    found = analysed_plan(plan)
    assert len(found.final) == 8 * 3
    text = "\n".join(sentence.text for sentence in found.sentences)
    assert "2^(4-1) of resolution IV: I = label-noise x replay-buffer x minibatch" in text
    assert "improves fid" in text
    assert "this design cannot separate it from" in text


@pytest.mark.parametrize("design", ["one-at-a-time", "leave-one-out"])
def test_designs_around_a_base(design: str) -> None:
    found = analysed_plan(preset_plan("course", metrics=["fid"], seeds=3, design=design))
    assert len(found.final) == 5 * 3
    assert {len(effect.term) for effect in found.effects[0].effects} == {1}
    assert ("=off" in found.base) == (design == "one-at-a-time")


def test_part_of_the_results() -> None:
    plan = preset_plan("course", metrics=["fid"], seeds=2)
    runs = make_runs(plan)
    found = analyse(plan, {run.key: result_of(run) for run in runs[4:20]})
    assert found.num_missing == 16
    assert found.sentences[0].text == "16 of 32 runs have no result yet."
    assert found.differences == ()
    with pytest.raises(NothingFoundError, match="none of 32 runs"):
        analyse(plan, {})


def said(found: Analysis) -> str:
    return "\n".join(sentence.text for sentence in found.sentences)


def test_no_factor_can_have_the_name_of_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every column that is in a table, or is put into one while it is analysed."""
    put: set[str] = set()
    assign = pd.DataFrame.assign

    def noted(frame: pd.DataFrame, **columns: Any) -> pd.DataFrame:
        put.update(columns)
        return assign(frame, **columns)

    monkeypatch.setattr(pd.DataFrame, "assign", noted)
    plan = preset_plan("course", metrics=METRICS, seeds=2)
    found = analysed_plan(plan)
    columns = put | set(found.final) | set(found.curve)
    own = columns - set(plan.levels) - set(METRICS)
    assert {"state", "good", "log_train_s", "outcome"} <= own
    assert own <= RESERVED
    for name in own:
        with pytest.raises(UsageError, match="have a column of that name"):
            parse_plan({"name": "p", "recipe": "course-gan",
                        "factors": {name: {"x": [], "y": ["loss=minimax"]}}})  # fmt: skip


def changed(plan: AblationPlan, **values: float | None) -> dict[str, RunResult]:
    """Results in which some metrics have the given values."""
    found = {}
    for run in make_runs(plan):
        result = result_of(run)
        entries = [
            entry.model_copy(update={"values": entry.values | values})
            for entry in result.evaluations
        ]
        found[run.key] = result.model_copy(update={"evaluations": tuple(entries)})
    return found


def diverged(run: Run) -> RunResult:
    return RunResult(key=run.key, outcome="diverged", reason="g_loss is not finite at step 9")


def test_a_metric_without_any_value_is_told() -> None:
    plan = preset_plan("course", metrics=["fid", "fid_infinity", "recall_k3"], seeds=2)
    found = analyse(plan, changed(plan, fid_infinity=None))
    assert [one.metric for one in found.effects] == ["fid", "recall_k3"]
    assert "No run has a value of fid_infinity: there are too few images" in said(found)
    first, *others = make_runs(plan)
    few = {first.key: changed(plan)[first.key]}
    assert "Only one run has a value of fid, recall_k3" in said(analyse(plan, few))
    all_gone = analyse(plan, {run.key: diverged(run) for run in (first, *others)})
    text = said(all_gone)
    assert "No run finished, so nothing is known about fid, fid_infinity, recall_k3." in text
    assert "All runs diverged or collapsed, so no factor can be seen to change how often." in text
    assert "No factor is shown" not in text


def test_a_base_that_diverged_is_told() -> None:
    plan = preset_plan("course", metrics=["fid"], seeds=2)
    results = changed(plan) | {run.key: diverged(run) for run in make_runs(plan) if run.is_base}
    found = analyse(plan, results)
    assert not found.differences
    assert "Every run of the base cell (base levels) diverged, so there are no differences" in said(
        found
    )
    without = {run.key: result_of(run) for run in make_runs(plan) if not run.is_base}
    assert "No run of the base cell (base levels) has a result yet" in said(analyse(plan, without))
    assert "base cell" not in said(analyse(plan, changed(plan)))


def test_times_that_runs_of_several_cells_share_are_no_cost() -> None:
    plan = preset_plan("course", metrics=["fid"], seeds=2)
    shared = {
        key: result.model_copy(update={"shared": True}) for key, result in changed(plan).items()
    }
    found = analyse(plan, shared)
    assert not found.times
    assert not found.cell_times
    assert "32 runs trained in one program with runs of other cells" in said(found)
    assert analyse(plan, changed(plan)).times


def test_one_seed_has_no_intervals() -> None:
    plan = preset_plan("course", metrics=["fid", "precision_k3"], seeds=1)
    found = analysed_plan(plan)
    assert found.has_one_seed
    assert all(effect.low is None for one in found.effects for effect in one.effects)
    assert all(point.low is None for points in found.curves.values() for point in points)
    assert all(one.low is None for one in found.times)
    text = said(found)
    assert "One seed allows no conclusions" in text
    assert "On all metrics: there is one seed, so there are no intervals" in text
