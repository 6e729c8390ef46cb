"""Downsampling: the discriminator halves its maps by strided convolutions or average pooling."""

from __future__ import annotations

import dataclasses

from baselines.models.base import Downsampling, Options
from baselines.tricks.base import Plan, Trick, needs_convolutions


class DownsamplingOptions(Options):
    """`by` is "stride" (4x4 convolutions of stride 2) or "pool" (3x3 convolutions, 2x2 pooling)."""

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
