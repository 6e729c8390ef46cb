"""From a plan and its results to every part of a report, on results with a known truth."""

from __future__ import annotations

import numpy as np
import pytest

from baselines.ablation.analysis import Analysis, analyse
from baselines.ablation.cells import Run, make_runs
from baselines.ablation.plan import AblationPlan
from baselines.ablation.presets import preset_plan
from baselines.ablation.results import Evaluation, RunResult
from bench.errors import NothingFoundError

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
    assert "non-saturating (on) helps fid: -20" in text or "helps fid: -19" in text
    assert "non-saturating (on) helps precision_k3: +0." in text
    assert text.count("12 runs have no value and are left out") == 1
    assert "Of 64 runs 12 diverged" in text
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
    assert "helps fid" in text
    assert "cannot be told from" in text


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
