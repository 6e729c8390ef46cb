"""A plan changed on the command line, and budgets that a CPU can train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from baselines.ablation.plan import AblationPlan, parse_plan
from bench.errors import UsageError

LENGTHS = frozenset({"num_steps", "share"})
# For 80 runs in about 50 minutes of one core: see `baselines.ablation.study`.
CPU_BUDGETS: dict[str, dict[str, Any]] = {
    "course-gan": {"num_steps": 560, "num_images": 2_000, "num_evaluations": 3},
    "dcgan": {"num_steps": 80, "num_images": 2_000, "num_evaluations": 3},
}
OTHER: dict[str, Any] = {"share": 0.02, "num_images": 2_000, "num_evaluations": 3}


def cpu_budget(recipe: str) -> dict[str, Any]:
    """Keys of a plan that make it short."""
    return dict(CPU_BUDGETS.get(recipe, OTHER))


def changed_plan(
    plan: AblationPlan, changes: Mapping[str, Any], *, cpu_sized: bool = False
) -> AblationPlan:
    """The plan with other values for some keys; None changes nothing. `cpu_sized` sets the budget,
    as far as `changes` does not. Raises `UsageError` for what no plan may be.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    if given.keys() >= LENGTHS:
        raise UsageError("--num-steps and --share both give the budget; leave one out")
    short = cpu_budget(plan.recipe) if cpu_sized else {}
    if given.keys() & LENGTHS:
        short = {key: value for key, value in short.items() if key not in LENGTHS}
    new = short | given
    raw = plan.model_dump(exclude_none=True)
    if new.keys() & LENGTHS:
        raw = {key: value for key, value in raw.items() if key not in LENGTHS}
    return parse_plan({**raw, **new}, f"plan {plan.name}")
