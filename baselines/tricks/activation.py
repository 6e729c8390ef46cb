"""Activation: leaky or plain ReLU in the hidden layers of either network."""

from __future__ import annotations

import dataclasses

from baselines.models.base import Activation, Options
from baselines.tricks.base import Plan, Trick


class ActivationOptions(Options):
    """Activation of all hidden layers, by network. None keeps the model's own."""

    generator: Activation | None = None
    discriminator: Activation | None = "relu"


def _plan(plan: Plan, options: ActivationOptions) -> Plan:
    layers = dataclasses.replace(
        plan.layers,
        generator_activation=options.generator,
        discriminator_activation=options.discriminator,
    )
    return dataclasses.replace(plan, layers=layers)


ACTIVATION = Trick(
    name="activation",
    title="leaky or plain ReLU",
    source="Radford et al. 2016; Chintala et al. 2016 (ganhacks), item 5",
    options=ActivationOptions,
    plan=_plan,
)
