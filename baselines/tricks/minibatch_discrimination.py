"""Minibatch discrimination: the discriminator sees how close an image is to the rest of its batch.

The paper sums over the batch, and its code sets a bias and the kernels' scale by the first batch so
that the layer starts near 0. The mean used here equals the sum up to the scale of the weights that
follow, and starts at the size of a feature for any batch size. A plain sum is tens of times as
large, and the generator fails at once: the course networks at half width, after 2,000 steps of 32
images, have an FID of 3,413 with the sum, 784 with the mean, and 348 without the layer
(non-saturating loss, seed 0). With the minimax loss it is 317 with the mean and 413 without.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pydantic import Field

from baselines.models.base import Options
from baselines.tricks.base import Plan, Trick

if TYPE_CHECKING:
    from torch import nn


class MinibatchDiscriminationOptions(Options):
    """The paper's B and C."""

    num_kernels: int = Field(100, ge=1)
    kernel_dim: int = Field(5, ge=1)


def _plan(plan: Plan, options: MinibatchDiscriminationOptions) -> Plan:
    from baselines.models.minibatch_layers import MinibatchDiscrimination

    def head(num_features: int) -> nn.Module:
        return MinibatchDiscrimination(num_features, options.num_kernels, options.kernel_dim)

    return dataclasses.replace(plan, layers=dataclasses.replace(plan.layers, head=head))


MINIBATCH_DISCRIMINATION = Trick(
    name="minibatch-discrimination",
    title="mean closeness to the rest of the batch, by learned kernels",
    source="Salimans et al. 2016, section 3.2",
    options=MinibatchDiscriminationOptions,
    requires=("separate-batches",),
    conflicts={
        "minibatch-standard-deviation": "both add a layer in front of the logit; choose one"
    },
    plan=_plan,
)
