"""Short names of levels, effects and cells, for plots and tables."""

from __future__ import annotations

from collections.abc import Mapping

from baselines.ablation.analysis.effects import Effect
from baselines.ablation.design.cells import label_of
from baselines.ablation.design.designs import Design
from baselines.ablation.design.plan import AblationPlan

ALL_BASE = "base levels"


def level_name(factor: str, level: str) -> str:
    """Return a text such as "learning_rate=0.0001"; only the name for a trick that is on.

    >>> level_name("learning_rate", "0.0001"), level_name("ema", "on")
    ('learning_rate=0.0001', 'ema')
    """
    return factor if level == "on" else f"{factor}={level}"


def effect_name(effect: Effect) -> str:
    """Return the names of an effect's levels, joined by a times sign."""
    return " × ".join(map(level_name, effect.term, effect.levels))


def cell_name(levels: Mapping[str, str], plan: AblationPlan) -> str:
    """Return what differs from the base levels, such as "label-noise + replay-buffer"."""
    changed = [
        level_name(factor, level)
        for factor, level in levels.items()
        if level != plan.levels[factor][0]
    ]
    return " + ".join(changed) or ALL_BASE


def cell_names(plan: AblationPlan) -> dict[str, str]:
    """Return the short names of all cells by label."""
    design: Design = plan.made_design
    found = {}
    for cell in design.cells:
        levels = {
            factor.name: factor.level_names[place]
            for factor, place in zip(plan.factors, cell, strict=True)
        }
        found[label_of(levels)] = cell_name(levels, plan)
    return found
