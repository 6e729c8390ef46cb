"""Separate batches: the discriminator sees real and fake images in two calls.

Otherwise they are one batch, and batch norm mixes their statistics.
"""

from __future__ import annotations

import dataclasses

from baselines.tricks.base import Plan, Trick


def _plan(plan: Plan, _options: object) -> Plan:
    return dataclasses.replace(plan, separate_batches=True)


SEPARATE_BATCHES = Trick(
    name="separate-batches",
    title="real and fake images in separate batches",
    source="Chintala et al. 2016 (ganhacks), item 4",
    plan=_plan,
)
