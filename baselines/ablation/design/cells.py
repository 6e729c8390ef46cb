"""Cells and runs: all configurations of a plan, built and checked before the first run starts.

A run is one cell of the design with one seed. Runs with the same seed are paired: they draw the
same images in the same order and the same latents, initialise the layers they share with the same
weights, whatever tricks are on, and are sampled from the same latent seeds (`SAMPLING_SEED`). Two
things are not paired: the weights of models whose options differ in more than the latent size
(`baselines.training.build`), and the images of runs that differ in batch size or in the number of
discriminator steps.

`Run.key` is a digest of everything that the result depends on: the configuration with its seed, the
evaluation steps, the number of images, the sampling, and the scoring. It does not contain names (of
the plan, factors and levels), so that two plans share the runs they have in common. Nor does it
contain the device, library versions and code, which a result records itself, so that editing a
comment does not discard a night of GPU time.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from baselines.ablation.design.plan import AblationPlan
from baselines.models.random_draws import BLOCK_STEPS
from baselines.recipes.config import RunConfig
from baselines.recipes.table import recipe_config
from baselines.sampling.sampler import SamplingOptions
from bench.errors import UsageError

RESULT_VERSION = 1  # of the result format; a new version changes every key
SAMPLING_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training: a cell of the design with one seed.

    `cell` is the number of the cell and `levels` maps its factors to level names. `evaluations` are
    the steps after which samples are scored, the last one at the end of training.
    """

    cell: int
    is_base: bool
    levels: Mapping[str, str]
    config: RunConfig
    evaluations: tuple[int, ...]
    num_images: int
    metrics: tuple[str, ...]
    sampling: SamplingOptions
    reference: str  # as for `latentbench score`
    extractor: str | None  # None: the reference's own

    @property
    def label(self) -> str:
        """Return a text such as "label-noise=on, replay-buffer=off"."""
        return label_of(self.levels)

    @property
    def seed(self) -> int:
        return self.config.seed

    @cached_property
    def key(self) -> str:
        """Return the SHA-256 of everything that the result depends on."""
        text = json.dumps(self.identity, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def identity(self) -> dict[str, Any]:
        """Return the JSON value whose digest is `key`."""
        return {
            "version": RESULT_VERSION,
            "config": self.config.identity,
            "evaluations": list(self.evaluations),
            "num_images": self.num_images,
            "sampling": asdict(self.sampling),
            "sampling_seed": SAMPLING_SEED,
            "metrics": sorted(self.metrics),
            "reference": self.reference,
            "extractor": self.extractor,
        }


def label_of(levels: Mapping[str, str]) -> str:
    """Return the label of a cell with these levels.

    >>> label_of({"label-noise": "on", "replay-buffer": "off"})
    'label-noise=on, replay-buffer=off'
    """
    return ", ".join(f"{factor}={level}" for factor, level in levels.items())


def evaluation_steps(num_steps: int, num: int) -> tuple[int, ...]:
    """Return `num` evenly spaced steps at ends of blocks of draws, the last at the end of training;
    fewer if the training has fewer blocks.

    >>> evaluation_steps(2000, 3)
    (672, 1344, 2000)
    """
    found = {num_steps}
    for part in range(1, num):
        step = math.ceil(num_steps * part / num / BLOCK_STEPS) * BLOCK_STEPS
        found.add(min(step, num_steps))
    return tuple(sorted(found))


def make_runs(plan: AblationPlan) -> tuple[Run, ...]:
    """Return all runs, cell by cell in the design's order, seed by seed within a cell.

    Raises `UsageError` naming the cell for an invalid configuration (conflicting tricks, a value
    out of range), and naming both cells if two have the same configuration.
    """
    design = plan.made_design
    runs: list[Run] = []
    known: dict[str, str] = {}
    for number, chosen in enumerate(design.cells):
        levels = [factor.levels[place] for factor, place in zip(plan.factors, chosen, strict=True)]
        names = {
            factor.name: level.name for factor, level in zip(plan.factors, levels, strict=True)
        }
        settings = [*plan.settings, *plan.budget]
        settings += [text for level in levels for text in level.settings]
        configs = _configs(plan, label_of(names), settings)
        twin = known.setdefault(configs[0].digest, label_of(names))
        if twin != label_of(names):
            raise UsageError(
                f"cells {twin!r} and {label_of(names)!r} have the same configuration; remove "
                "the level that changes nothing, or the setting that already implies it"
            )
        runs += [
            Run(
                cell=number,
                is_base=number == design.base,
                levels=names,
                config=config,
                evaluations=evaluation_steps(config.num_steps, plan.num_evaluations),
                num_images=plan.num_images,
                metrics=plan.metrics,
                sampling=plan.sampling,
                reference=plan.reference or plan.data,
                extractor=plan.extractor,
            )
            for config in configs
        ]
    return tuple(runs)


def _configs(plan: AblationPlan, label: str, settings: list[str]) -> list[RunConfig]:
    try:
        return [
            recipe_config(plan.recipe, data=plan.data, seed=seed, settings=settings)
            for seed in plan.seeds
        ]
    except UsageError as error:
        raise UsageError(f"cell {label!r} cannot be run: {error}") from error
