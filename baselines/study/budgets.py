"""How long a recipe trains in the study: its full length, a share of it, or a CPU's budget.

A CPU's budget takes a GAN one to two minutes of one core (`baselines.recipes.narrowing` has the
trials), an
autoencoder less, and is the same for all recipes of a family, so that they can be compared.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from baselines.recipes.config import RunConfig
from baselines.recipes.narrowing import COURSE, DCGAN, Narrowing, narrowed_settings
from baselines.recipes.table import recipe_config

MIN_STEPS = 16


class Budget(NamedTuple):
    """A share of a recipe's steps, and how it is narrowed."""

    share: float
    narrowing: Narrowing = Narrowing()

    def __str__(self) -> str:
        """As "full" or "6.4 % of the steps, widths / 4"."""
        if self == FULL:
            return "full"
        steps = f"{100 * self.share:.2g} % of the steps" if self.share < 1 else ""
        return ", ".join(filter(None, (steps, str(self.narrowing))))


FULL = Budget(1.0)
# The first prefix that fits counts.
CPU_BUDGETS: dict[str, Budget] = {
    "ae-": Budget(0.1),
    "vae": Budget(0.05),
    "wgan": Budget(0.045, COURSE),  # five steps of the critic for each
    "dcgan": Budget(0.06, DCGAN),
    "conditional-dcgan": Budget(0.06, DCGAN),
    "infogan": Budget(0.06, DCGAN),
    "demo-gan": Budget(0.06, DCGAN._replace(widths=2)),
    "": Budget(0.09, COURSE),
}


def cpu_budget(recipe: str) -> Budget:
    """What a core can train in two minutes."""
    return next(budget for prefix, budget in CPU_BUDGETS.items() if recipe.startswith(prefix))


def budgeted(recipe: str, data: str, seed: int, budget: Budget) -> RunConfig:
    """The recipe's configuration within a budget, with `MIN_STEPS` steps at least."""
    full = recipe_config(recipe, data=data, seed=seed)
    if budget == FULL:
        return full
    steps = max(MIN_STEPS, math.ceil(full.num_steps * budget.share))
    settings = (f"num_steps={steps}", *narrowed_settings(recipe, budget.narrowing))
    return recipe_config(recipe, data=data, seed=seed, settings=settings)
