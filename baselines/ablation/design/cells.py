"""Cells: every run of a plan, complete and checked before the first one starts.

A run is one cell of the design with one seed. Runs of one seed are paired: they draw the same
images in the same order and the same latents, and start every layer that they share with the same
weights, whatever tricks are on; samples come from the same latent seeds (`SAMPLING_SEED`). Not
paired are weights where model options differ in more than the size of the latent
(`baselines.training.build`), and images where the batch size or the number of discriminator steps
does.

`Run.key` is a digest of everything that its result depends on: the complete configuration with its
seed, when it is measured, how many images are sampled and how, and by what they are scored. Not in
it: names (of the plan, its factors and levels), so that two plans share the runs they have in
common; the device, library versions and code, which a result records itself, so that a change of a
comment does not throw away a night on a GPU.
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

RESULT_VERSION = 1  # of what a result holds; a new one makes every key new
SAMPLING_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training to do: a cell of the design with one seed.

    `cell` is the number of the cell, `levels` its level of each factor by name; `evaluations` are
    the steps after which samples are scored, the last step at the end.
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
        """As "label-noise=on, replay-buffer=off"."""
        return label_of(self.levels)

    @property
    def seed(self) -> int:
        return self.config.seed

    @cached_property
    def key(self) -> str:
        """SHA-256 of everything that the result depends on; see the module's docstring."""
        text = json.dumps(self.identity, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def identity(self) -> dict[str, Any]:
        """What `key` is the digest of, as JSON."""
        return {
            "version": RESULT_VERSION,
            "config": self.config.model_dump(mode="json"),
            "evaluations": list(self.evaluations),
            "num_images": self.num_images,
            "sampling": asdict(self.sampling),
            "sampling_seed": SAMPLING_SEED,
            "metrics": sorted(self.metrics),
            "reference": self.reference,
            "extractor": self.extractor,
        }


def label_of(levels: Mapping[str, str]) -> str:
    """A cell's name, from its levels."""
    return ", ".join(f"{factor}={level}" for factor, level in levels.items())


def evaluation_steps(num_steps: int, num: int) -> tuple[int, ...]:
    """`num` steps spread evenly, at ends of blocks of draws, the last at the end; fewer where the
    training has fewer blocks.
    """
    found = {num_steps}
    for part in range(1, num):
        step = math.ceil(num_steps * part / num / BLOCK_STEPS) * BLOCK_STEPS
        found.add(min(step, num_steps))
    return tuple(sorted(found))


def make_runs(plan: AblationPlan) -> tuple[Run, ...]:
    """All runs, seed by seed within each cell, cells in the design's order.

    Raises `UsageError` naming the cell and the reason where a configuration cannot be (tricks that
    conflict, a value out of range), and the two cells where two are one configuration.
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
                f"cells {twin!r} and {label_of(names)!r} are one and the same configuration; "
                "leave out the level that changes nothing, or what brings it along anyway"
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
