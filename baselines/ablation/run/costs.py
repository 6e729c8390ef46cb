"""What a run will cost: an estimate, from a table at first and from finished runs as they come.

    training = steps x SECONDS_PER_STEP[model] x batch size / that of the table
               x (widths / those of the table)^1.4 x factors of tricks
    sampling and scoring = evaluations x (EVALUATION_S + images x IMAGE_S)

The table holds medians of three blocks of steps on one core of a busy Zen 5 CPU, with the recipes'
own options, 28 px images, tricks on the course networks and on DCGAN, rounded; sampling and scoring
there with the default metrics (1.4 s for 500 images, 2.1 for 2,000, 6.3 for 10,000), where FID
alone costs about half. It says little about other machines beyond which cells cost more than
others: on a GPU, where small networks cost their launches, tricks and models differ less. So an
estimate is scaled by the finished runs of the same cell, of any cell where there is none of the
same, of other plans in the ledger where there is none at all, and says which it was.
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
    """Seconds of one step with a batch of so many images, and the widths of the networks together
    where other widths are worth telling apart.
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
}
# A step with the trick over a step without it, where that is more than noise.
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
WIDTH_POWER = 1.4  # measured: half of the course widths 1/3, a fourth of DCGAN's 1/7
DISCRIMINATOR_SHARE = 0.5  # of an adversarial step, which discriminator-steps multiplies
EVALUATION_S, IMAGE_S = 1.2, 0.00055


class Estimate(NamedTuple):
    """Seconds of training, and what they were estimated from."""

    seconds: float
    basis: Basis


def tabulated_s(config: RunConfig) -> float:
    """Seconds of training by the table."""
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
    """The model's options of that kind added up."""
    widths = [
        value for key, value in config.model_options.items() if key.endswith(("width", "widths"))
    ]
    return sum(sum(value) if isinstance(value, list | tuple) else int(value) for value in widths)


def estimates(
    runs: Sequence[Run], finished: Mapping[str, float], elsewhere: Sequence[float] = ()
) -> dict[str, Estimate]:
    """An estimate for every run by key. `finished` maps keys of runs to measured seconds,
    `elsewhere` has how many times those of the table runs of other plans took.
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
    """Seconds of sampling and scoring, all evaluations of a run together."""
    return num_evaluations * (EVALUATION_S + num_images * IMAGE_S)


def scoring_estimates(
    runs: Sequence[Run], finished: Mapping[str, float], elsewhere: Sequence[float] = ()
) -> dict[str, float]:
    """Seconds of sampling and scoring of every run by key; `finished` and `elsewhere` as for
    `estimates`.
    """
    tabulated = {run.key: tabulated_scoring_s(len(run.evaluations), run.num_images) for run in runs}
    ratios = [finished[key] / usual for key, usual in tabulated.items() if finished.get(key)]
    logs = [math.log(ratio) for ratio in ratios or elsewhere if ratio > 0]
    scale = math.exp(statistics.fmean(logs)) if logs else 1.0
    return {key: scale * usual for key, usual in tabulated.items()}
