"""Recipes made small enough for a CPU: networks narrowed, batches smaller, rates higher.

A short training of the recipes' own networks shows nothing: after 1,200 of 46,900 steps at their
rates every run of the course generator has collapsed, whatever tricks are on. Narrower networks on
smaller batches take many more steps in the same time, and a higher rate makes more of each.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from baselines.recipes import recipe_config


class Narrowing(NamedTuple):
    """What widths and batches are divided by, and learning rates multiplied with."""

    widths: int = 1
    batch: int = 1
    rate: float = 1.0

    def __str__(self) -> str:
        """As "widths / 4, batches / 2, rate x 5"; empty where nothing is changed."""
        parts = (
            f"widths / {self.widths}" if self.widths > 1 else "",
            f"batches / {self.batch}" if self.batch > 1 else "",
            f"rate x {self.rate:g}" if self.rate != 1 else "",
        )
        return ", ".join(filter(None, parts))


# In single runs of the plain recipes (seed 0), no trick on: the course generator after 4,000 steps
# had a FID of 129 and 10 digits in 54 core-seconds, where its own networks had 253 in 123; DCGAN
# after 1,000 steps 40 in 41, where half of its widths had 43 in 90.
COURSE = Narrowing(widths=2, batch=2, rate=2.5)
DCGAN = Narrowing(widths=4, batch=2, rate=5)


def narrowed(recipe: str, narrowing: Narrowing) -> tuple[str, ...]:
    """The settings, as `key=value`, that narrow a recipe; of a rate that a trick brings as well.

    Raises `UnknownNameError` for a recipe.
    """
    config = recipe_config(recipe)
    changed: dict[str, Any] = {}
    if narrowing.widths > 1:
        for key, value in config.model_options.items():
            if key == "width":
                changed[f"model.{key}"] = value // narrowing.widths
            elif key.endswith("_widths"):
                changed[f"model.{key}"] = [width // narrowing.widths for width in value]
    if narrowing.batch > 1:
        changed["batch_size"] = config.batch_size // narrowing.batch
    if narrowing.rate != 1:
        changed["learning_rate"] = _times(config.learning_rate, narrowing.rate)
        for player, rate in config.tricks.get("two-time-scales", {}).items():
            changed[f"tricks.two-time-scales.{player}"] = _times(rate, narrowing.rate)
    return tuple(f"{key}={json.dumps(value)}" for key, value in changed.items())


def _times(rate: float, factor: float) -> float:
    return float(f"{rate * factor:.6g}")
