"""Runs of a plan: complete configurations, keys, costs, results as tables."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from baselines.ablation.analysis.results import Evaluation, RunResult, curve_frame, final_frame
from baselines.ablation.design.cells import Run, evaluation_steps, make_runs
from baselines.ablation.design.plan import parse_plan
from baselines.ablation.design.presets import PRESETS, preset_plan
from baselines.ablation.run.costs import (
    EVALUATION_S,
    IMAGE_S,
    SECONDS_PER_STEP,
    estimates,
    scoring_estimates,
    tabulated_s,
)
from baselines.models import MODELS
from baselines.recipes.table import recipe_config
from bench.errors import UsageError

BASE: dict[str, Any] = {
    "name": "p",
    "recipe": "course-gan",
    "factors": {"label-noise": True, "loss": ["minimax", "non-saturating"]},
    "seeds": 2,
    "num_steps": 100,
    "num_evaluations": 2,
}


def runs_of(**change: Any) -> tuple[Run, ...]:
    return make_runs(parse_plan(BASE | change))


def test_each_run_is_a_complete_configuration() -> None:
    runs = runs_of(settings=["batch_size=32"])
    assert len(runs) == 8
    last = runs[-1]
    assert last.config == recipe_config(
        "course-gan",
        seed=1,
        settings=[
            "batch_size=32",
            "num_steps=100",
            "tricks.label-noise=on",
            "loss=non-saturating",
        ],
    )
    assert last.label == "label-noise=on, loss=non-saturating"
    assert [run.is_base for run in runs] == [True] * 2 + [False] * 6
    assert last.evaluations == (64, 100)  # 50 steps end in the block that ends at 64


def test_evaluations() -> None:
    assert evaluation_steps(46_900, 5) == (9392, 18768, 28144, 37520, 46900)
    assert evaluation_steps(10, 5) == (10,)
    assert evaluation_steps(1_000, 1) == (1000,)


def test_keys_hold_what_results_depend_on() -> None:
    keys = {run.key for run in runs_of()}
    assert len(keys) == 8
    assert {run.key for run in runs_of(name="another", metrics=BASE.get("metrics") or [
        "modes_covered", "fid", "kid_poly3", "precision_k3", "recall_k3", "density_k5",
        "coverage_k5"])} == keys  # fmt: skip
    for change in (
        {"num_images": 99},
        {"metrics": ["fid"]},
        {"sampling": {"truncation": 0.5}},
        {"data": "fashion-mnist"},
        {"num_steps": 101},
        {"num_evaluations": 1},
        {"settings": ["learning_rate=1e-3"]},
    ):
        assert not {run.key for run in runs_of(**change)} & keys, change


def test_an_edited_plan_keeps_the_runs_that_it_has_in_common() -> None:
    keys = {run.key for run in runs_of()}
    assert {run.key for run in runs_of(seeds=3)} > keys
    wider = {"label-noise": True, "loss": ["minimax", "non-saturating", "least-squares"]}
    assert {run.key for run in runs_of(factors=wider)} > keys


@pytest.mark.parametrize("name", PRESETS)
def test_presets_can_be_run(name: str) -> None:
    runs = make_runs(preset_plan(name))
    assert len({run.key for run in runs}) == len(runs)
    assert sum(run.is_base for run in runs) == 5


def test_conflicting_tricks_name_the_cell_and_the_reason() -> None:
    factors = ["minibatch-discrimination", "minibatch-standard-deviation"]
    with pytest.raises(UsageError, match=r"cell 'minibatch-discrimination=on, .*=on'.*add a layer"):
        runs_of(factors=factors)
    assert len(runs_of(factors=factors, design="one-at-a-time")) == 6


def test_a_level_that_changes_nothing_is_told() -> None:
    factors = {"spectral-norm": True, "loss": ["hinge", "minimax"]}
    assert len(runs_of(factors=factors)) == 8
    with pytest.raises(UsageError, match="have the same configuration"):
        runs_of(factors={"a": {"plain": [], "as-before": ["loss=non-saturating"]}})
    apart = {"separate-batches": True, "minibatch-discrimination": True}
    with pytest.raises(UsageError, match="'minibatch-discrimination' needs it"):
        runs_of(factors=apart)


def test_costs_come_from_the_table_first() -> None:
    assert SECONDS_PER_STEP.keys() == MODELS.keys()
    runs = runs_of(factors=["minibatch-discrimination", "discriminator-steps"])
    found = estimates(runs, {})
    assert {one.basis for one in found.values()} == {"table"}
    seconds = [found[run.key].seconds for run in runs[::2]]
    # 100 steps of .022 s; 2 steps of D make it 1.5 times, a minibatch layer 2 times
    assert seconds == pytest.approx([2.2, 3.3, 4.4, 6.6])
    half = recipe_config("course-gan", settings=["batch_size=32", "num_steps=100"])
    assert tabulated_s(half) == pytest.approx(1.1)
    narrow = recipe_config("dcgan", settings=["model.width=16", "num_steps=100"])
    assert tabulated_s(narrow) == pytest.approx(35 / 4**1.4)
    widths = ["model.generator_widths=[896]", "model.discriminator_widths=[896]"]
    narrow = recipe_config("course-gan", settings=[*widths, "num_steps=100"])
    assert tabulated_s(narrow) == pytest.approx(2.2 / 2**1.4)


def test_finished_runs_improve_the_estimate() -> None:
    runs = runs_of()
    slow, usual = runs[0], runs[2]
    measured = {
        slow.key: 10 * tabulated_s(slow.config),
        usual.key: tabulated_s(usual.config),
    }
    found = estimates(runs, measured)
    assert found[runs[1].key] == pytest.approx((22.0, "same cell"))
    assert found[runs[3].key].seconds == pytest.approx(tabulated_s(runs[3].config))
    # others: the geometric mean of 10 and 1
    assert found[runs[5].key].basis == "other cells"
    assert found[runs[5].key].seconds == pytest.approx(math.sqrt(10) * tabulated_s(runs[5].config))


def test_scoring_has_its_costs() -> None:
    """Two evaluations of 1,000 images; a run that took twice as long doubles the estimates."""
    runs = runs_of(num_images=1_000)
    (usual,) = {round(seconds, 9) for seconds in scoring_estimates(runs, {}).values()}
    assert usual == pytest.approx(2 * (EVALUATION_S + 1_000 * IMAGE_S))
    found = scoring_estimates(runs, {runs[0].key: 2 * usual, runs[1].key: 0.0})
    assert list(found.values()) == pytest.approx([2 * usual] * 8)


def test_tables_of_results() -> None:
    runs = runs_of(metrics=["fid", "recall_k3"])
    results = {
        runs[0].key: RunResult(
            key=runs[0].key,
            outcome="finished",
            train_s=3.0,
            evaluations=(
                Evaluation(step=64, values={"fid": 9.0, "recall_k3": None}),
                Evaluation(step=100, values={"fid": 5.0, "recall_k3": 0.5}, train_s=3.0),
            ),
        ),
        runs[3].key: RunResult(
            key=runs[3].key,
            outcome="diverged",
            reason="d_loss is not finite at step 70",
            evaluations=(Evaluation(step=64, values={"fid": 90.0}),),
        ),
    }
    final = final_frame(runs, results)
    assert list(final["cell"]) == [runs[0].label, runs[3].label]
    assert list(final["outcome"]) == ["finished", "diverged"]
    assert final["fid"].tolist()[0] == 5.0
    assert math.isnan(final["fid"].tolist()[1])
    assert final["loss"].tolist() == ["minimax", "non-saturating"]
    curve = curve_frame(runs, results)
    assert curve["step"].tolist() == [64, 100, 64]
    assert curve["fid"].tolist() == [9.0, 5.0, 90.0]


@pytest.mark.parametrize(
    "fields",
    [
        {"outcome": "diverged"},
        {"outcome": "finished"},
        {"outcome": "finished", "evaluations": [{"step": n, "values": {}} for n in (2, 1)]},
        {"outcome": "finished", "evaluations": [{"step": 2, "values": {"fid": math.nan}}]},
    ],
)  # fmt: skip
def test_results_that_cannot_be(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RunResult.model_validate({"key": "k", **fields})
