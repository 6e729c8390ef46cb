"""What is asked of the study, and the jobs that it makes of it.

A job is one run: a recipe with one seed on one data set, trained and sampled in every way. Its key
is a digest of the complete configuration, the ways and the number of images. A run whose rows are
all there needs no job, also where its ledger is gone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from baselines.models.code_priors import PRIORS
from baselines.recipes.config import RunConfig
from baselines.recipes.table import RECIPES, recipe_config, recipe_row
from baselines.sampling.sampler import SamplingOptions
from baselines.study.budgets import FULL, Budget, budgeted, cpu_budget
from baselines.study.rows import DIVERGED, PLAIN, Key, Row
from baselines.study.work import Task
from bench.errors import UsageError
from bench.execution.ledger.work import Job

DATA = ("mnist", "fashion-mnist")
NUM_IMAGES = NUM_TEST = 10_000
NUM_SEEDS = 3
RECONSTRUCTION = "reconstruction"
# Sampling tricks, on the recipes where they are shown.
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
    """What is trained and scored, and where. `share` shortens every training to a share of its
    recipe's steps; `cpu_sized` narrows networks and shortens trainings to minutes of a core,
    `narrowed` only does the former. Raises `UsageError` for what cannot be used as given.
    """

    recipes: tuple[str, ...] = tuple(RECIPES)
    data: tuple[str, ...] = DATA
    num_seeds: int = NUM_SEEDS
    share: float = 1.0
    cpu_sized: bool = False
    narrowed: bool = False
    num_images: int = NUM_IMAGES
    data_root: Path | None = None
    device: str = "cpu"
    keep_samples: bool = False

    def __post_init__(self) -> None:
        for recipe in self.recipes:
            recipe_row(recipe)
        for name in self.data:
            if name not in DATA:
                raise UsageError(f"data {name!r}: expected {' or '.join(DATA)}")
        if self.num_seeds < 1:
            raise UsageError(f"{self.num_seeds} seeds: expected 1 or more")
        if not 0 < self.share <= 1:
            raise UsageError(f"share {self.share}: expected more than 0 and at most 1")
        if self.cpu_sized and (self.share < 1 or self.narrowed):
            other = "--narrowed" if self.narrowed else "--share"
            raise UsageError(f"{other} and --cpu-sized both give the budget; leave one out")
        if not 2 <= self.num_images <= NUM_TEST:
            raise UsageError(
                f"{self.num_images} images: expected 2 to {NUM_TEST}, the test images that there "
                "are to reconstruct"
            )

    def budget(self, recipe: str) -> Budget:
        if self.cpu_sized:
            return cpu_budget(recipe)
        whole = cpu_budget(recipe) if self.narrowed else FULL
        return whole._replace(share=self.share)


class Run(NamedTuple):
    """One training with its samplings; None stands for reconstructions of test images."""

    config: RunConfig
    budget: Budget
    ways: dict[str, SamplingOptions | None]
    num_images: int

    @property
    def label(self) -> str:
        return f"{self.config.data} {self.config.recipe} seed {self.config.seed}"

    @property
    def key(self) -> str:
        """SHA-256 of everything that the result depends on."""
        ways = {name: None if way is None else asdict(way) for name, way in self.ways.items()}
        identity = [self.config.model_dump(mode="json"), ways, self.num_images]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def is_in(self, rows: Mapping[Key, Row]) -> bool:
        """Whether the rows of this very run are there, or that of its divergence."""
        return self._has_row(rows, DIVERGED) or all(self._has_row(rows, way) for way in self.ways)

    def _has_row(self, rows: Mapping[Key, Row], sampling: str) -> bool:
        config = self.config
        row = rows.get((config.data, config.recipe, config.seed, sampling))
        if row is None or row.config_digest != config.digest:
            return False
        return sampling == DIVERGED or row.num_images == self.num_images


def ways_of(recipe: str) -> dict[str, SamplingOptions | None]:
    """The ways in which a recipe's runs are sampled."""
    if recipe_config(recipe).model_row.latent is None:
        return {f"prior-{prior}": SamplingOptions(prior=prior) for prior in PRIORS} | {
            RECONSTRUCTION: None
        }
    return {PLAIN: SamplingOptions(), **(SAMPLING if recipe in SAMPLED_RECIPES else {})}


def runs_of(study: Study) -> list[Run]:
    """Every run: data set by data set, recipe by recipe, seed by seed."""
    return [
        Run(
            config=budgeted(recipe, data, seed, study.budget(recipe)),
            budget=study.budget(recipe),
            ways=ways_of(recipe),
            num_images=study.num_images,
        )
        for data in study.data
        for recipe in study.recipes
        for seed in range(study.num_seeds)
    ]


def jobs_of(study: Study, runs: list[Run]) -> list[Job]:
    """A job for each run; the seeds of one recipe may train as one program."""
    return [
        Job(
            key=run.key,
            label=run.label,
            payload=Task(
                config=run.config.model_dump(mode="json"),
                share=run.config.num_steps / recipe_config(run.config.recipe).num_steps,
                narrowing=str(run.budget.narrowing),
                ways=run.ways,
                num_images=run.num_images,
                data_root=None if study.data_root is None else str(study.data_root.resolve()),
                device=study.device,
                keep_samples=study.keep_samples,
            ).model_dump(mode="json"),
            group=f"{run.config.data} {run.config.recipe} {run.config.num_steps}",
        )
        for run in runs
    ]
