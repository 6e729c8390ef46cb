"""Minibatch standard deviation: one number that tells how diverse a batch is.

The deviation of every feature over the batch, averaged over features, appended to each image's
features: nothing is learned.

Shape legend: N images, F features.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from baselines.tricks.base import Plan, Trick

EPSILON = 1e-8  # as in the authors' code; keeps the root's gradient finite


class MinibatchStandardDeviation(nn.Module):
    """`forward(f)`: N,F -> N,F+1, the features and the mean deviation."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.out_features = num_features + 1

    def statistic(self, f: Tensor) -> Tensor:
        """The mean over features of the deviation over the batch (divisor N): a scalar."""
        return ((f - f.mean(0)).square().mean(0) + EPSILON).sqrt().mean()

    def forward(self, f: Tensor) -> Tensor:
        return torch.cat([f, self.statistic(f).expand(f.shape[0], 1)], dim=1)


def _plan(plan: Plan, _options: object) -> Plan:
    layers = dataclasses.replace(plan.layers, head=MinibatchStandardDeviation)
    return dataclasses.replace(plan, layers=layers)


MINIBATCH_STANDARD_DEVIATION = Trick(
    name="minibatch-standard-deviation",
    title="the batch's mean feature deviation as a feature",
    source="Karras et al. 2018 (progressive GAN), section 3",
    requires=("separate-batches",),
    conflicts={"minibatch-discrimination": "both put a layer in front of the logit; choose one"},
    plan=_plan,
)
