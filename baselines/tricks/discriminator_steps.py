"""Discriminator steps: k steps of the discriminator for each generator step, on fresh images."""

from __future__ import annotations

import dataclasses

from pydantic import Field

from baselines.models.base import Options
from baselines.tricks.base import Plan, Trick


class DiscriminatorStepsOptions(Options):
    """`num_steps` is k."""

    num_steps: int = Field(2, ge=1)


def _plan(plan: Plan, options: DiscriminatorStepsOptions) -> Plan:
    return dataclasses.replace(plan, d_steps=options.num_steps)


DISCRIMINATOR_STEPS = Trick(
    name="discriminator-steps",
    title="k steps of the discriminator for each generator step",
    source="Goodfellow et al. 2014, algorithm 1",
    options=DiscriminatorStepsOptions,
    plan=_plan,
)
