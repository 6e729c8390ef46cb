"""Cost estimates of runs: from a table at first, then from finished runs.

    training = steps x SECONDS_PER_STEP[model] x batch size / batch size of the table
               x (widths / widths of the table)^1.4 x factors of tricks
    sampling and scoring = evaluations x (EVALUATION_S + images x IMAGE_S)

The table holds rounded medians of three blocks of steps on one core of a busy Zen 5 CPU, with the
recipes' own options and 28 px images; tricks were measured on the course networks and on DCGAN.
Sampling and scoring were measured with the default metrics (1.4 s for 500 images, 2.1 for 2,000,
6.3 for 10,000); FID alone costs about half. On other machines the table only tells which cells cost
more than others, and on a GPU, where launches dominate small networks, tricks and models differ
less. Estimates are therefore scaled by finished runs: of the same cell, else of other cells, else
of other plans in the ledger. `Estimate.basis` says which.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from baselines.ablation.design.cells import Run
from baselines.recipes.config import RunConfig

Basis = Literal["table", "other plans", "other cells", "same cell"]


class StepCost(NamedTuple):
    """Seconds of one step at a batch size, and the sum of the networks' widths if the cost is
    scaled by it.
    """

    seconds: float
    batch_size: int
    width: int | None = None


SECONDS_PER_STEP: dict[str, StepCost] = {
    "dense-gan": StepCost(0.022, 64, 3584),
    "conditional-dense-gan": StepCost(0.022, 64, 3584),
    "dcgan": StepCost(0.35, 128, 64),
    "conditional-dcgan": StepCost(0.35, 128, 64),
    "infogan": StepCost(0.38, 128),
    "vae": StepCost(0.012, 128),
    "conv-vae": StepCost(0.058, 128),
    "autoencoder": StepCost(0.0053, 128),
    "conv-autoencoder": StepCost(0.059, 128),
    "embedding": StepCost(0.045, 128),
}
# Time of a step with the trick over one without it, for tricks whose cost exceeds the noise.
TRICK_FACTORS: dict[str, float] = {
    "minibatch-discrimination": 2.0,
    "gradient-penalty": 1.7,
    "r1": 1.6,
    "historical-averaging": 1.5,
    "spectral-norm": 1.3,
    "downsampling": 1.3,
    "dropout": 1.2,
    "ema": 1.1,
}
WIDTH_POWER = 1.4  # measured: half of the course widths cost 1/3, a fourth of DCGAN's 1/7
DISCRIMINATOR_SHARE = 0.5  # of an adversarial step; the trick discriminator-steps multiplies it
EVALUATION_S, IMAGE_S = 1.2, 0.00055


class Estimate(NamedTuple):
    """Seconds of training, and what the estimate is based on."""

    seconds: float
    basis: Basis


def tabulated_s(config: RunConfig) -> float:
    """Return the seconds of training according to the table."""
    per_step = SECONDS_PER_STEP[config.model]
    seconds = config.num_steps * per_step.seconds * config.batch_size / per_step.batch_size
    if per_step.width is not None:
        seconds *= (_width(config) / per_step.width) ** WIDTH_POWER
    for trick, options in config.tricks.items():
        if trick == "discriminator-steps":
            seconds *= 1 + DISCRIMINATOR_SHARE * (int(options["num_steps"]) - 1)
        else:
            seconds *= TRICK_FACTORS.get(trick, 1.0)
    return seconds


def _width(config: RunConfig) -> int:
    """Return the sum of the model's width options."""
    widths = [
        value for key, value in config.model_options.items() if key.endswith(("width", "widths"))
    ]
    return sum(sum(value) if isinstance(value, list | tuple) else int(value) for value in widths)


def estimates(
    runs: Sequence[Run], finished: Mapping[str, float], elsewhere: Sequence[float] = ()
) -> dict[str, Estimate]:
    """Return an estimate for every run by key.

    `finished` maps keys of runs to measured seconds; `elsewhere` holds the ratios of measured to
    tabulated seconds of runs of other plans.
    """
    by_cell: dict[int, list[float]] = {}
    for run in runs:
        measured = finished.get(run.key)
        if measured is not None and measured > 0:
            by_cell.setdefault(run.cell, []).append(math.log(measured / tabulated_s(run.config)))
    overall = [value for values in by_cell.values() for value in values]
    found = {}
    for run in runs:
        basis: Basis = "same cell" if run.cell in by_cell else "other cells"
        known = by_cell.get(run.cell, overall)
        if not known:
            known, basis = [math.log(ratio) for ratio in elsewhere if ratio > 0], "other plans"
        if not known:
            known, basis = [0.0], "table"
        scale = math.exp(statistics.fmean(known))
        found[run.key] = Estimate(tabulated_s(run.config) * scale, basis)
    return found


def tabulated_scoring_s(num_evaluations: int, num_images: int) -> float:
    """Return the seconds of sampling and scoring of all evaluations of a run, from the table."""
    return num_evaluations * (EVALUATION_S + num_images * IMAGE_S)


def scoring_estimates(
    runs: Sequence[Run], finished: Mapping[str, float], elsewhere: Sequence[float] = ()
) -> dict[str, float]:
    """Return the seconds of sampling and scoring of every run by key; see `estimates`."""
    tabulated = {run.key: tabulated_scoring_s(len(run.evaluations), run.num_images) for run in runs}
    ratios = [finished[key] / usual for key, usual in tabulated.items() if finished.get(key)]
    logs = [math.log(ratio) for ratio in ratios or elsewhere if ratio > 0]
    scale = math.exp(statistics.fmean(logs)) if logs else 1.0
    return {key: scale * usual for key, usual in tabulated.items()}
