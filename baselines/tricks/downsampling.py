"""How the discriminator shrinks its maps: by strided convolutions, or by average pooling."""

from __future__ import annotations

import dataclasses

from baselines.models.base import Downsampling, Options
from baselines.tricks.base import Plan, Trick, needs_convolutions


class DownsamplingOptions(Options):
    """Stride 2, or a 3x3 convolution and pooling of 2."""

    by: Downsampling = "pool"


def _plan(plan: Plan, options: DownsamplingOptions) -> Plan:
    layers = dataclasses.replace(plan.layers, downsampling=options.by)
    return dataclasses.replace(plan, layers=layers)


DOWNSAMPLING = Trick(
    name="downsampling",
    title="pooling instead of strided convolutions",
    source="Radford et al. 2016, section 3; Springenberg et al. 2015",
    options=DownsamplingOptions,
    refuse=needs_convolutions,
    plan=_plan,
)
