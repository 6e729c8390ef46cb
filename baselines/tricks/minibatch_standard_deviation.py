"""Minibatch standard deviation: one number that says how diverse a batch is.

The standard deviation of every feature over the batch, averaged over features, is appended to each
image's features. Nothing is learned.
"""

from __future__ import annotations

import dataclasses

from baselines.tricks.base import Plan, Trick


def _plan(plan: Plan, _options: object) -> Plan:
    from baselines.models.minibatch_layers import MinibatchStandardDeviation

    layers = dataclasses.replace(plan.layers, head=MinibatchStandardDeviation)
    return dataclasses.replace(plan, layers=layers)


MINIBATCH_STANDARD_DEVIATION = Trick(
    name="minibatch-standard-deviation",
    title="the batch's mean feature deviation as a feature",
    source="Karras et al. 2018 (progressive GAN), section 3",
    requires=("separate-batches",),
    conflicts={"minibatch-discrimination": "both add a layer in front of the logit; choose one"},
    plan=_plan,
)
