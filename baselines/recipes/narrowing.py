"""Recipes made small enough for a CPU: networks narrowed, batches smaller, rates higher.

A short training of the recipes' own networks shows nothing: after 1,200 of 46,900 steps at their
rates every run of the course generator has collapsed, whatever tricks are on. Narrower networks on
smaller batches take many more steps in the same time, and a higher rate makes more of each.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from baselines.recipes.table import recipe_config


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


# From single trials (seed 0, 5,000 samples; seconds by the clock, two trials beside each other).
# The course generator after 4,000 steps of batches of 32 at 5e-4: FID 129 with 10 digits in 54 s,
# at its own widths 253 with 9 in 123 s. DCGAN after 1,000 steps of batches of 64: FID 40 in 41 s at
# a fourth of its widths and 1e-3, 43 in 90 s at half of them and 5e-4.
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
