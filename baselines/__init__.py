"""Latentbench's reference models: recipes, training and sampling. `bench` scores the samples.

    import baselines

    run = baselines.train("dcgan", data="mnist", seed=0)
    baselines.sample(run, "samples/", num_images=10_000)

Importing this package loads no torch. Each public name loads what it needs on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.runtime.lazy_names import lazy_names

if TYPE_CHECKING:
    from baselines.ablation.recipe_study.recipes import Study as Study
    from baselines.ablation.recipe_study.run_recipes import run_study as run_study
    from baselines.ablation.run.run_ablation import run_ablation as run_ablation
    from baselines.models import MODELS as MODELS
    from baselines.models.losses import LOSSES as LOSSES
    from baselines.recipes.table import RECIPES as RECIPES
    from baselines.recipes.table import recipe_config as recipe_config
    from baselines.runs.api import sample as sample
    from baselines.runs.api import train as train
    from baselines.runs.api import train_seeds as train_seeds
    from baselines.runs.run_folder import load_run as load_run
    from baselines.sampling.sampler import Sampler as Sampler
    from baselines.sampling.sampler import SamplingOptions as SamplingOptions
    from baselines.tricks import TRICKS as TRICKS

_MODULES = {
    "run_ablation": "baselines.ablation.run.run_ablation",
    "LOSSES": "baselines.models.losses",
    "MODELS": "baselines.models",
    "RECIPES": "baselines.recipes.table",
    "recipe_config": "baselines.recipes.table",
    "load_run": "baselines.runs.run_folder",
    "Sampler": "baselines.sampling.sampler",
    "SamplingOptions": "baselines.sampling.sampler",
    "Study": "baselines.ablation.recipe_study.recipes",
    "run_study": "baselines.ablation.recipe_study.run_recipes",
    "TRICKS": "baselines.tricks",
    "sample": "baselines.runs.api",
    "train": "baselines.runs.api",
    "train_seeds": "baselines.runs.api",
}

__all__ = list(_MODULES)
__getattr__, __dir__ = lazy_names(__name__, _MODULES)
