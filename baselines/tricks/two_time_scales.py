"""Two time scales: each player has its own learning rate; the discriminator's is larger."""

from __future__ import annotations

import dataclasses

from pydantic import Field

from baselines.models.base import Options
from baselines.tricks.base import Plan, Trick


class TwoTimeScalesOptions(Options):
    """Learning rates of both players. The defaults are those of Zhang et al. 2019."""

    generator: float = Field(1e-4, gt=0)
    discriminator: float = Field(4e-4, gt=0)


def _plan(plan: Plan, options: TwoTimeScalesOptions) -> Plan:
    return dataclasses.replace(
        plan, learning_rate_g=options.generator, learning_rate_d=options.discriminator
    )


TWO_TIME_SCALES = Trick(
    name="two-time-scales",
    title="a larger learning rate for the discriminator",
    source="Heusel et al. 2017 (TTUR); Zhang et al. 2019",
    options=TwoTimeScalesOptions,
    overrides=("learning_rate",),
    plan=_plan,
)
