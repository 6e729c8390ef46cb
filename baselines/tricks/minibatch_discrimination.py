"""Minibatch discrimination: how close is an image to the others of its batch?

Learned kernels T of shape F,B,C map features to M = f T (B rows of C numbers per image); the
statistic is o(x_i)_b = mean over j != i of exp(-|M_ib - M_jb|_1), B values beside the features.

The paper adds up; its code then sets a bias and the kernels' scale by the first batch, so that the
layer starts near 0. The mean is the sum up to the scale of the weights behind it, and starts of the
size of a feature, whatever N. A plain sum is tens of times as large and the game is lost at once:
course networks of half width after 2,000 steps of 32 images have a FID of 3,413 with it, of 784
with the mean, and of 348 without the layer (non-saturating loss, seed 0; with the minimax loss 317
with the mean and 413 without).

Shape legend: N images, F features, B kernels, C kernel dimensions.
"""

from __future__ import annotations

import dataclasses

import torch
from pydantic import Field
from torch import Tensor, nn

from baselines.models.base import Options
from baselines.tricks.base import Plan, Trick


class MinibatchDiscriminationOptions(Options):
    """B and C of the paper."""

    num_kernels: int = Field(100, ge=1)
    kernel_dim: int = Field(5, ge=1)


class MinibatchDiscrimination(nn.Module):
    """`forward(f)`: N,F -> N,F+B, the features and the statistic."""

    def __init__(self, num_features: int, num_kernels: int, kernel_dim: int) -> None:
        super().__init__()
        self.shape = (num_kernels, kernel_dim)
        self.out_features = num_features + num_kernels
        # |M_ib - M_jb| of order 1 at the start, whatever F: otherwise every exp(-|.|) is 0
        scale = num_features**-0.5 / kernel_dim
        self.kernels = nn.Parameter(torch.randn(num_features, num_kernels * kernel_dim) * scale)

    def statistic(self, f: Tensor) -> Tensor:
        """o(x): N,B, between 0 (all far away) and 1 (all equal)."""
        m = (f @ self.kernels).view(-1, *self.shape).transpose(0, 1)  # B,N,C
        closeness = torch.exp(-_distances(m)).sum(2).T - 1  # itself left out
        return closeness / max(len(f) - 1, 1)

    def forward(self, f: Tensor) -> Tensor:
        return torch.cat([f, self.statistic(f)], dim=1)


def _distances(m: Tensor) -> Tensor:
    """L1 between the rows of B,N,C: B,N,N. `cdist` takes a CPU 0.4 of the time, with its gradient;
    on a GPU it gives each of the pairs a block of threads, far too many for C numbers.
    """
    if m.is_cuda:
        return (m[:, :, None] - m[:, None]).abs().sum(-1)
    exact = m.float() if m.dtype == torch.bfloat16 else m  # which it cannot do
    return torch.cdist(exact, exact, p=1.0)


def _plan(plan: Plan, options: MinibatchDiscriminationOptions) -> Plan:
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
        "minibatch-standard-deviation": "both put a layer in front of the logit; choose one"
    },
    plan=_plan,
)
