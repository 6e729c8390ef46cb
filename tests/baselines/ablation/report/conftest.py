"""A factorial with known effects, and its analysis."""

from __future__ import annotations

import pytest

from baselines.ablation.analysis.analyse import Analysis, analyse
from baselines.ablation.analysis.results import RunResult
from baselines.ablation.design.cells import make_runs
from baselines.ablation.design.plan import AblationPlan
from baselines.ablation.design.presets import preset_plan
from tests.baselines.ablation.analysis.test_analyse import METRICS, result_of


def results(plan: AblationPlan) -> dict[str, RunResult]:
    return {run.key: result_of(run) for run in make_runs(plan)}


@pytest.fixture(scope="module")
def plan() -> AblationPlan:
    return preset_plan("course", metrics=METRICS, seeds=3)


@pytest.fixture(scope="module")
def analysis(plan: AblationPlan) -> Analysis:
    return analyse(plan, results(plan))
