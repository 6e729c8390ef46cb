"""R1: the squared gradient of the discriminator at real images, (gamma / 2) E |grad D(x)|^2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from baselines.models.base import Options
from baselines.tricks.base import (
    JudgedBatch,
    StepContext,
    Trick,
    input_gradient,
    needs_no_batch_norm,
)

if TYPE_CHECKING:
    from torch import Tensor

BATCH_LAYER = "a minibatch layer makes an image's output depend on the whole batch"


class R1Options(Options):
    """`gamma` is the paper's weight."""

    gamma: float = Field(10.0, gt=0)


def _penalty(
    real: JudgedBatch, _fake: JudgedBatch, context: StepContext, options: R1Options
) -> Tensor:
    gradient = input_gradient(context.discriminator, real.images, real.classes)
    return 0.5 * options.gamma * gradient.flatten(1).square().sum(1).mean()


R1 = Trick(
    name="r1",
    title="squared gradient at real images",
    source="Mescheder et al. 2018, equation 9",
    options=R1Options,
    conflicts={
        "minibatch-discrimination": BATCH_LAYER,
        "minibatch-standard-deviation": BATCH_LAYER,
    },
    refuse=needs_no_batch_norm,
    d_penalty=_penalty,
)
