"""Gradient penalty: lambda E (|grad D(x')| - 1)^2 at random mixes of a real and a fake image.

For a conditional model the one-hot classes of the two are mixed in the same proportion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from baselines.models.base import Options
from baselines.models.random_draws import Draw, uniform
from baselines.tricks.base import (
    JudgedBatch,
    Player,
    Sizes,
    StepContext,
    Trick,
    input_gradient,
    needs_no_batch_norm,
)

if TYPE_CHECKING:
    from torch import Tensor

BATCH_LAYER = "a minibatch layer makes an image's output depend on the whole batch"
EPSILON = 1e-12  # keeps the gradient of the norm finite at 0


class GradientPenaltyOptions(Options):
    """`weight` is the paper's lambda."""

    weight: float = Field(10.0, gt=0)


def _draws(player: Player, sizes: Sizes, _options: GradientPenaltyOptions) -> dict[str, Draw]:
    if player == "generator":
        return {}
    return {"mix": Draw((sizes.batch_size, 1, 1, 1), uniform)}


def _penalty(
    real: JudgedBatch, fake: JudgedBatch, context: StepContext, options: GradientPenaltyOptions
) -> Tensor:
    share = context.draws["gradient-penalty/mix"]
    mixed = share * real.images + (1 - share) * fake.images
    classes = real.classes
    if classes is not None and fake.classes is not None:
        classes = share[:, :, 0, 0] * classes + (1 - share[:, :, 0, 0]) * fake.classes
    gradient = input_gradient(context.discriminator, mixed, classes)
    norm = (gradient.flatten(1).square().sum(1) + EPSILON).sqrt()
    return options.weight * (norm - 1).square().mean()


GRADIENT_PENALTY = Trick(
    name="gradient-penalty",
    title="slope 1 along lines between real and fake",
    source="Gulrajani et al. 2017, equation 3",
    options=GradientPenaltyOptions,
    conflicts={
        "weight-clipping": "the penalty replaces clipping; choose one",
        "minibatch-discrimination": BATCH_LAYER,
        "minibatch-standard-deviation": BATCH_LAYER,
    },
    refuse=needs_no_batch_norm,
    draws=_draws,
    d_penalty=_penalty,
)
