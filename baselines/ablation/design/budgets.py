"""Budgets: how long a recipe trains and how far its networks are narrowed, so that a CPU can do it.

`RECIPE_BUDGETS` are those of the study of all recipes: a GAN takes one to two minutes of one core,
an autoencoder less, and all recipes of a family have the same budget, so that they can be compared.
`CELL_BUDGETS` are those of an ablation, which trains about 80 runs: 10 to 15 core-seconds a run.
They bring the plain non-saturating runs to most of the ten digits, and were chosen on single runs
of that cell, without any trick (seed 0: FID 348 with 8 digits, and 76 with 10).
`baselines.recipes.narrowing` has the trials behind both.

Why an ablation needs a budget: a run of the recipes as they are costs, in seconds of one core of a
Zen 5 CPU shared with other work (`getrusage`, one run each, one thread), with the default metrics:

    recipe        a step, no trick    all four tricks    sampling and scoring 2,000 images once
    course-gan        .030 to .036              0.075                                       2.5
    dcgan                     0.23               0.46                                       3.5

At full length, with five evaluations of 10,000 images, the 80 runs of a 2^4 factorial with 5 seeds
take about 60 (course-gan) and 180 core-hours (dcgan). In the steps that a CPU has time for they
make no digits: the course generator with the non-saturating loss has a FID of 2,984 after 480 steps
and of 301, with 7 of 10 digits, after 2,400; of 17 runs of 1,200 steps all had collapsed. So a CPU
budget narrows the networks, halves the batches and raises the learning rate.

2,000 images are enough for that: the standard error of a FID from 2,000 is 0.23 at a FID of 2.3 and
5.9 at one of 815, that of a precision of .7 is .010, and the bias of the FID is the same in all
cells; at this length seeds differ by more. References store the scores of 1,000, 2,000, 5,000 and
10,000 real images; for any other number real images are scored as well.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from baselines.recipes.config import RunConfig
from baselines.recipes.narrowing import COURSE, DCGAN, Narrowing, narrowed_settings
from baselines.recipes.table import recipe_config

MIN_STEPS = 16


class Budget(NamedTuple):
    """A share of a recipe's steps, and how its networks are narrowed."""

    share: float
    narrowing: Narrowing = Narrowing()

    def __str__(self) -> str:
        """Return a text such as "full" or "6.4 % of the steps, widths / 4"."""
        if self == FULL:
            return "full"
        steps = f"{100 * self.share:.2g} % of the steps" if self.share < 1 else ""
        return ", ".join(filter(None, (steps, str(self.narrowing))))


FULL = Budget(1.0)
# The first prefix of the recipe's name counts.
RECIPE_BUDGETS: dict[str, Budget] = {
    "ae-": Budget(0.1),
    "vae": Budget(0.05),
    "wgan": Budget(0.045, COURSE),  # five critic steps for each generator step
    "dcgan": Budget(0.06, DCGAN),
    "conditional-dcgan": Budget(0.06, DCGAN),
    "infogan": Budget(0.06, DCGAN),
    "demo-gan": Budget(0.06, DCGAN._replace(widths=2)),
    "": Budget(0.09, COURSE),
}

# Keys of an ablation plan.
CELL_BUDGETS: dict[str, dict[str, Any]] = {
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
OTHER_CELLS: dict[str, Any] = {"share": 0.02, "num_images": 2_000, "num_evaluations": 3}


def recipe_budget(recipe: str) -> Budget:
    """Return the budget that lets one core train a recipe in about two minutes."""
    return next(budget for prefix, budget in RECIPE_BUDGETS.items() if recipe.startswith(prefix))


def budgeted(recipe: str, data: str, seed: int, budget: Budget) -> RunConfig:
    """Return a recipe's configuration within a budget, with at least `MIN_STEPS` steps."""
    full = recipe_config(recipe, data=data, seed=seed)
    if budget == FULL:
        return full
    steps = max(MIN_STEPS, math.ceil(full.num_steps * budget.share))
    settings = (f"num_steps={steps}", *narrowed_settings(recipe, budget.narrowing))
    return recipe_config(recipe, data=data, seed=seed, settings=settings)


def cell_budget(recipe: str) -> dict[str, Any]:
    """Return the keys of a plan that make each of its runs short."""
    return dict(CELL_BUDGETS.get(recipe, OTHER_CELLS))
