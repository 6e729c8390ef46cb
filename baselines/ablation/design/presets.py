"""The table of preset plans, and plans changed on the command line.

    tricks     the 2^4 factorial of the students' four improvements, on DCGAN
    course     the same on the course generator
    vae-beta   the weight of the divergence in a dense VAE
    latent     size and distribution of the course generator's latent

Every base is the original form: plain labels, no buffer, no minibatch layer, the minimax loss. A
level brings along what its trick requires: minibatch discrimination needs separate batches of real
and fake images. `dcgan` has them anyway; in the course networks, which have no batch norm, they
change only the order of summation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from baselines.ablation.design.budgets import cell_budget
from baselines.ablation.design.plan import AblationPlan, parse_plan
from bench.errors import UnknownNameError, UsageError

FOUR_TRICKS: dict[str, Any] = {
    "label-noise": True,
    "replay-buffer": True,
    "minibatch-discrimination": True,
    "non-saturating": {"off": ["loss=minimax"], "on": ["loss=non-saturating"]},
}

LENGTHS = frozenset({"num_steps", "share"})

PRESETS: dict[str, dict[str, Any]] = {
    "tricks": {"recipe": "dcgan", "factors": FOUR_TRICKS},
    "course": {"recipe": "course-gan", "factors": FOUR_TRICKS},
    "vae-beta": {"recipe": "vae", "factors": {"model.beta": [1.0, 0.25, 4.0, 16.0]}},
    "latent": {
        "recipe": "course-gan",
        "factors": {
            "model.latent_dim": [100, 10, 400],
            "latent": {
                "gaussian": [],
                "uniform": ["tricks.latent.distribution=uniform"],
                "spherical": ["tricks.latent.distribution=spherical"],
            },
        },
    },
}


def preset_plan(name: str, **changes: Any) -> AblationPlan:
    """Return the plan of a preset, with some keys changed. Raises `UnknownNameError`.

    >>> preset_plan("course", seeds=3, share=0.1).seeds
    (0, 1, 2)
    """
    if name not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    return parse_plan({"name": name, **PRESETS[name], **changes}, f"preset {name}")


def changed_plan(
    plan: AblationPlan, changes: Mapping[str, Any], *, cpu_sized: bool = False
) -> AblationPlan:
    """Return the plan with other values for some keys; a value of None changes nothing.

    `settings` are added to the plan's own. `cpu_sized` adds the keys of `cell_budget`; `changes`
    and the settings of the plan and its factors take precedence. Raises `UsageError` if the result
    is not a valid plan.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    if given.keys() >= LENGTHS:
        raise UsageError("--num-steps and --share both set the length; give only one")
    budget = cell_budget(plan.recipe) if cpu_sized else {}
    if given.keys() & LENGTHS:
        budget = {key: value for key, value in budget.items() if key not in LENGTHS}
    own = _last_settings((*plan.settings, *given.pop("settings", ())))
    touched = frozenset[str]().union(*(factor.keys for factor in plan.factors))
    added = {
        key: text
        for key, text in _last_settings(budget.pop("settings", ())).items()
        if key not in own and key not in touched
    }
    new = budget | given | {"settings": [*own.values(), *added.values()]}
    raw = plan.model_dump(exclude_none=True)
    if new.keys() & LENGTHS:
        raw = {key: value for key, value in raw.items() if key not in LENGTHS}
    return parse_plan({**raw, **new}, f"plan {plan.name}")


def _last_settings(settings: Iterable[str]) -> dict[str, str]:
    """Return the last setting of each key."""
    return {text.partition("=")[0]: text for text in settings}
