"""Networks of a recipe trained on normal images by the engine, without a run folder.

An epoch is `EPOCH_IMAGES` images drawn from the normal ones, whatever their number, so that the
number of steps depends on the options only. Several normal sets are stored on the device as one,
and each run draws from its own part what it would draw alone: run k of a stack equals the single
fit to set k up to the order of float32 sums (`baselines.training.stacked`). On a CPU the runs take
turns, because a stack is slower there.

Shape legend: K normal sets, N images of a set, H,W,C an image.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.detectors.chunks import repeatable
from baselines.detectors.table import EPOCH_IMAGES
from baselines.detectors.together import require_sets, set_name
from baselines.recipes.config import RunConfig, make_config
from baselines.recipes.table import recipe_row
from baselines.runs.run_folder import checkpoint_of
from baselines.runs.train import TrainingDiverged
from baselines.sampling.trained import Trained, trained_from
from baselines.training.build import build_for
from baselines.training.checkpoint import non_finite_tensor
from baselines.training.engine import BlockTerms, Engine, first_non_finite, train_through
from baselines.training.training_images import training_set


def steps_of(epochs: float, batch_size: int) -> int:
    """Return the steps that see `epochs` times `EPOCH_IMAGES` images; at least one."""
    return max(1, round(epochs * EPOCH_IMAGES / batch_size))


def one_class_config(
    recipe: str, *, seed: int, epochs: float, model_options: dict[str, Any], **settings: Any
) -> RunConfig:
    """Return a recipe's configuration for normal images, with a length and changed options."""
    raw: dict[str, Any] = {**recipe_row(recipe).settings}
    raw["model_options"] = {**raw.get("model_options", {}), **model_options}
    raw |= {name: value for name, value in settings.items() if value is not None}
    raw |= {"recipe": recipe, "data": "normal images", "seed": seed}
    batch_size = make_config(raw).batch_size
    return make_config({**raw, "num_steps": steps_of(epochs, batch_size)})


def fit_recipes(
    configs: Sequence[RunConfig],
    normals: Sequence[NDArray[np.uint8]],
    name: str,
    *,
    device: str,
    stack: bool | None = None,
) -> list[Trained]:
    """Return networks of K configurations, each trained on its own uint8 N,H,W,C images.

    Raises `UsageError` for too few images or sizes that differ or do not fit the model, and
    `TrainingDiverged` with detector, set, step and term.
    """
    require_sets(normals, name)
    data = training_set(np.concatenate(list(normals)), None, name=name, device=device)
    bounds = np.cumsum([0, *map(len, normals)])
    subsets = [torch.arange(a, b) for a, b in itertools.pairwise(bounds)]
    games = [build_for(config, data) for config in configs]
    engine = Engine(
        games if len(games) > 1 else games[0], data, device=device, stack=stack, subsets=subsets
    )

    def checked(block: BlockTerms) -> None:
        for number in range(engine.num_runs):
            where = first_non_finite(block, number if block.values.dim() == 3 else None)
            if where is not None:
                raise TrainingDiverged(
                    f"{set_name(name, number, len(games))}: {where[1]} is not finite at step "
                    f"{where[0]} of {engine.num_steps}; choose a lower learning_rate"
                )

    with repeatable():
        train_through(engine, checked)
    return [_trained(engine, number, name) for number in range(engine.num_runs)]


def _trained(engine: Engine, number: int, name: str) -> Trained:
    checkpoint = checkpoint_of(engine, number)
    bad = non_finite_tensor(checkpoint)
    if bad is not None:
        raise TrainingDiverged(
            f"{set_name(name, number, engine.num_runs)}: {bad} is not finite after step "
            f"{engine.step}; choose a lower learning_rate"
        )
    return trained_from(checkpoint, engine.device)
