"""Latentbench's reference models, their training and their samples; `bench` scores them.

    import baselines
    run = baselines.train("dcgan", data="mnist", seed=0)
    baselines.sample(run, "samples/", num_images=10_000)

Importing this package loads no torch; the names below load what they need when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from baselines.ablation.running import run_ablation as run_ablation
    from baselines.losses import LOSSES as LOSSES
    from baselines.models import MODELS as MODELS
    from baselines.recipes import RECIPES as RECIPES
    from baselines.recipes import recipe_config as recipe_config
    from baselines.run_folder import load_run as load_run
    from baselines.sampling import Sampler as Sampler
    from baselines.sampling import SamplingOptions as SamplingOptions
    from baselines.study.plan import Study as Study
    from baselines.study.running import run_study as run_study
    from baselines.tricks import TRICKS as TRICKS
    from baselines.verbs import sample as sample
    from baselines.verbs import train as train
    from baselines.verbs import train_seeds as train_seeds

_HOMES = {
    "run_ablation": "baselines.ablation.running",
    "LOSSES": "baselines.losses",
    "MODELS": "baselines.models",
    "RECIPES": "baselines.recipes",
    "recipe_config": "baselines.recipes",
    "load_run": "baselines.run_folder",
    "Sampler": "baselines.sampling",
    "SamplingOptions": "baselines.sampling",
    "Study": "baselines.study.plan",
    "run_study": "baselines.study.running",
    "TRICKS": "baselines.tricks",
    "sample": "baselines.verbs",
    "train": "baselines.verbs",
    "train_seeds": "baselines.verbs",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'baselines' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
