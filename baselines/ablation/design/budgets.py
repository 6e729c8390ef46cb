"""A plan changed on the command line, and budgets that a CPU can train.

The short budgets are narrowed recipes (`baselines.recipes.narrowing`), which brings the plain
non-saturating
runs to most of the ten digits in 10 to 15 core-seconds. They were chosen on single runs of that one
cell (seed 0: FID 348 with 8 digits, and 76 with 10), no trick on.
A plan's own settings, and those that its factors touch, stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from baselines.ablation.design.plan import AblationPlan, parse_plan
from baselines.recipes.narrowing import COURSE, DCGAN, narrowed_settings
from bench.errors import UsageError

LENGTHS = frozenset({"num_steps", "share"})
# For 80 runs in about 50 minutes of one core: see `baselines.ablation.run.published`.
CPU_BUDGETS: dict[str, dict[str, Any]] = {
    "course-gan": {
        "settings": narrowed_settings("course-gan", COURSE),
        "num_steps": 2_000,
        "num_images": 2_000,
        "num_evaluations": 3,
    },
    "dcgan": {
        "settings": narrowed_settings("dcgan", DCGAN),
        "num_steps": 400,
        "num_images": 2_000,
        "num_evaluations": 3,
    },
}
OTHER: dict[str, Any] = {"share": 0.02, "num_images": 2_000, "num_evaluations": 3}


def cpu_budget(recipe: str) -> dict[str, Any]:
    """Keys of a plan that make it short."""
    return dict(CPU_BUDGETS.get(recipe, OTHER))


def changed_plan(
    plan: AblationPlan, changes: Mapping[str, Any], *, cpu_sized: bool = False
) -> AblationPlan:
    """The plan with other values for some keys; None changes nothing, `settings` come on top of the
    plan's. `cpu_sized` sets the budget, as far as `changes` does not. Raises `UsageError` for what
    no plan may be.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    if given.keys() >= LENGTHS:
        raise UsageError("--num-steps and --share both give the budget; leave one out")
    short = cpu_budget(plan.recipe) if cpu_sized else {}
    if given.keys() & LENGTHS:
        short = {key: value for key, value in short.items() if key not in LENGTHS}
    own = _later_ones((*plan.settings, *given.pop("settings", ())))
    touched = frozenset[str]().union(*(factor.keys for factor in plan.factors))
    brought = {
        key: text
        for key, text in _later_ones(short.pop("settings", ())).items()
        if key not in own and key not in touched
    }
    new = short | given | {"settings": [*own.values(), *brought.values()]}
    raw = plan.model_dump(exclude_none=True)
    if new.keys() & LENGTHS:
        raw = {key: value for key, value in raw.items() if key not in LENGTHS}
    return parse_plan({**raw, **new}, f"plan {plan.name}")


def _later_ones(settings: Iterable[str]) -> dict[str, str]:
    """The last of the settings of each key."""
    return {text.partition("=")[0]: text for text in settings}
