"""Up kernel: the kernel of the generator's transposed convolutions, divisible by the stride or not.

A kernel that the stride of 2 does not divide overlaps unevenly and leaves a checkerboard: power at
the highest frequency of the samples' spectrum (`baselines.sampling.checkerboard`).
"""

from __future__ import annotations

import dataclasses

from pydantic import Field

from baselines.models.base import Options
from baselines.tricks.base import Plan, Trick, needs_convolutions


class UpKernelOptions(Options):
    """`size` is the side of the kernel in px. 3 and 5 leave a checkerboard; 2, 4 and 6 do not."""

    size: int = Field(5, ge=2, le=7)


def _plan(plan: Plan, options: UpKernelOptions) -> Plan:
    layers = dataclasses.replace(plan.layers, up_kernel=options.size)
    return dataclasses.replace(plan, layers=layers)


UP_KERNEL = Trick(
    name="up-kernel",
    title="kernel divisible by the stride, or not (checkerboard)",
    source="Odena et al. 2016",
    options=UpKernelOptions,
    refuse=needs_convolutions,
    plan=_plan,
)
