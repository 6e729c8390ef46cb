"""Short names of levels, effects and cells, as plots and tables show them, and counts of things."""

from __future__ import annotations

from collections.abc import Mapping

from baselines.ablation.analysis.effects import Effect
from baselines.ablation.design.cells import label_of
from baselines.ablation.design.designs import Design
from baselines.ablation.design.plan import AblationPlan

ALL_BASE = "base levels"


def level_name(factor: str, level: str) -> str:
    """As "learning_rate=0.0001"; a trick that is on needs no more than its name."""
    return factor if level == "on" else f"{factor}={level}"


def effect_name(effect: Effect) -> str:
    """Its levels, joined by a times sign."""
    return " × ".join(map(level_name, effect.term, effect.levels))


def cell_name(levels: Mapping[str, str], plan: AblationPlan) -> str:
    """What differs from the base levels, as "label-noise + replay-buffer"."""
    changed = [
        level_name(factor, level)
        for factor, level in levels.items()
        if level != plan.levels[factor][0]
    ]
    return " + ".join(changed) or ALL_BASE


def cell_names(plan: AblationPlan) -> dict[str, str]:
    """Short names of all cells by label."""
    design: Design = plan.made_design
    found = {}
    for cell in design.cells:
        levels = {
            factor.name: factor.level_names[place]
            for factor, place in zip(plan.factors, cell, strict=True)
        }
        found[label_of(levels)] = cell_name(levels, plan)
    return found
