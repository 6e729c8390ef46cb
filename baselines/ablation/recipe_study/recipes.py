"""The study of all recipes: what it trains, and the jobs this makes.

A job is one run: a recipe with one seed on one data set, trained and sampled in several ways. Its
key is a digest of the complete configuration, the ways and the number of images. A run whose rows
all exist needs no job, even if its ledger is gone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

from baselines.ablation.design.budgets import FULL, Budget, budgeted, recipe_budget
from baselines.ablation.recipe_study.rows import DIVERGED, PLAIN, Key, Row
from baselines.ablation.recipe_study.sampled_runs import SCORED_METRICS, SamplingTask
from baselines.ablation.run.training_jobs import Surroundings
from baselines.models.code_priors import PRIORS
from baselines.recipes.config import RunConfig
from baselines.recipes.table import IMAGE_RECIPES, recipe_config
from baselines.sampling.sampler import SamplingOptions
from bench.errors import UsageError
from bench.execution.ledger.work import Job

DATA = ("mnist", "fashion-mnist")
NUM_IMAGES = NUM_TEST = 10_000
NUM_SEEDS = 3
RECONSTRUCTION = "reconstruction"
# Sampling tricks, on the recipes that show them.
SAMPLING = {
    "truncation-1.0": SamplingOptions(truncation=1.0),
    "truncation-0.5": SamplingOptions(truncation=0.5),
    "discriminator-rejection-80": SamplingOptions(rejection_gamma=80),
    "budgeted-rejection-2": SamplingOptions(budget=2),
    "latent-rejection-0.8": SamplingOptions(latent_share=0.8),
}
SAMPLED_RECIPES = ("course-gan", "dcgan")


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is trained and scored. `share` shortens every training to a share of its recipe's steps,
    `narrowed` narrows the networks, and `cpu_sized` does both for a budget of minutes of one core.
    Raises `UsageError` for values that cannot be used.
    """

    recipes: tuple[str, ...] = IMAGE_RECIPES
    data: tuple[str, ...] = DATA
    num_seeds: int = NUM_SEEDS
    share: float = 1.0
    cpu_sized: bool = False
    narrowed: bool = False
    num_images: int = NUM_IMAGES

    def __post_init__(self) -> None:
        for recipe in self.recipes:
            config = recipe_config(recipe)
            config.model_row.require_images()
        for name in self.data:
            if name not in DATA:
                raise UsageError(f"data {name!r}: expected {' or '.join(DATA)}")
        if self.num_seeds < 1:
            raise UsageError(f"{self.num_seeds} seeds: expected 1 or more")
        if not 0 < self.share <= 1:
            raise UsageError(f"share {self.share}: expected more than 0 and at most 1")
        if self.cpu_sized and (self.share < 1 or self.narrowed):
            other = "--narrowed" if self.narrowed else "--share"
            raise UsageError(f"{other} and --cpu-sized both set the budget; give only one")
        if not 2 <= self.num_images <= NUM_TEST:
            raise UsageError(
                f"{self.num_images} images: expected 2 to {NUM_TEST}, the number of test images "
                "that autoencoders reconstruct"
            )

    def budget(self, recipe: str) -> Budget:
        """Return the budget of a recipe."""
        if self.cpu_sized:
            return recipe_budget(recipe)
        whole = recipe_budget(recipe) if self.narrowed else FULL
        return whole._replace(share=self.share)

    def runs(self) -> list[Run]:
        """Return all runs, ordered by data set, recipe and seed."""
        return [
            Run(
                config=budgeted(recipe, data, seed, self.budget(recipe)),
                budget=self.budget(recipe),
                ways=ways_of(recipe),
                num_images=self.num_images,
            )
            for data in self.data
            for recipe in self.recipes
            for seed in range(self.num_seeds)
        ]


class Run(NamedTuple):
    """One training and its ways of sampling; a way of None reconstructs test images."""

    config: RunConfig
    budget: Budget
    ways: dict[str, SamplingOptions | None]
    num_images: int

    @property
    def label(self) -> str:
        """Return a text such as "mnist vae, seed 0"."""
        return f"{self.config.data} {self.config.recipe}, seed {self.config.seed}"

    @property
    def key(self) -> str:
        """Return the SHA-256 of everything that the result depends on."""
        ways = {name: None if way is None else asdict(way) for name, way in self.ways.items()}
        identity = [self.config.identity, ways, self.num_images]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def is_in(self, rows: Mapping[Key, Row]) -> bool:
        """Return whether the rows of this run exist, or the row of its divergence."""
        return self._has_row(rows, DIVERGED) or all(self._has_row(rows, way) for way in self.ways)

    def _has_row(self, rows: Mapping[Key, Row], sampling: str) -> bool:
        config = self.config
        row = rows.get((config.data, config.recipe, config.seed, sampling))
        if row is None or row.config_digest != config.digest:
            return False
        return sampling == DIVERGED or row.num_images == self.num_images


def ways_of(recipe: str) -> dict[str, SamplingOptions | None]:
    """Return the ways in which the runs of a recipe are sampled."""
    if recipe_config(recipe).model_row.latent is None:
        return {f"prior-{prior}": SamplingOptions(prior=prior) for prior in PRIORS} | {
            RECONSTRUCTION: None
        }
    return {PLAIN: SamplingOptions(), **(SAMPLING if recipe in SAMPLED_RECIPES else {})}


def recipe_jobs(runs: list[Run], around: Surroundings | None = None) -> list[Job]:
    """Return a job for each run. The seeds of a recipe form a group, which may train as one
    program.
    """
    around = around or Surroundings()
    return [
        Job(
            key=run.key,
            label=run.label,
            payload=SamplingTask(
                config=run.config.identity,
                num_images=run.num_images,
                metrics=SCORED_METRICS,
                data=run.config.data,
                reference=run.config.data,
                extractor=None,
                share=run.config.num_steps / recipe_config(run.config.recipe).num_steps,
                narrowing=str(run.budget.narrowing),
                ways=run.ways,
                **around.payload(),
            ).model_dump(mode="json"),
            group=f"{run.config.data} {run.config.recipe} {run.config.num_steps}",
        )
        for run in runs
    ]
