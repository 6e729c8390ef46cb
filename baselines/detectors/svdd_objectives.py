"""Objectives, centre and radius of Deep SVDD (Ruff et al. 2018, equations 3 and 4).

Shape legend: N normal images, B images of a batch, Z code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.tricks.base import Net

CENTRE_MARGIN = 0.1


def centre_of(codes_NZ: Tensor) -> Tensor:
    """Return the mean code, float32 Z, with every entry at least `CENTRE_MARGIN` away from 0."""
    centre = codes_NZ.double().mean(0).float()
    edge = torch.where(centre < 0, -CENTRE_MARGIN, CENTRE_MARGIN)
    return torch.where(centre.abs() < CENTRE_MARGIN, edge, centre)


def radius_of(distances: Tensor, nu: float) -> Tensor:
    """Return the (1 - nu) quantile of sqrt(distances) over the last axis, linear between
    neighbours.
    """
    return torch.quantile(distances.sqrt(), 1 - nu, dim=-1)


def reconstruction_objective(
    net: Net, x: Tensor, _carried: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the squared error summed over an image, mean over the batch."""
    errors = (net(x) - x).flatten(1).square().sum(1)
    return errors.mean(), errors


def one_class_objective(
    net: Net, x: Tensor, carried: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the loss of equation 4; the details are the squared distances."""
    distances = (net(x) - carried["centre"]).square().sum(1)
    return distances.mean(), distances


@dataclass(frozen=True)
class SoftBoundary:
    """Equation 3 with a carried R, and its update."""

    nu: float
    warm_up_steps: int

    def objective(
        self, net: Net, x: Tensor, carried: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the loss and the squared distances."""
        distances = (net(x) - carried["centre"]).square().sum(1)
        squared = carried["radius"].square()
        return squared + (distances - squared).clamp_min(0).mean() / self.nu, distances

    def on_step(self, step: int, distances: Tensor, carried: dict[str, Tensor]) -> None:
        """Update R from the distances of the batch, after the warm-up."""
        if step >= self.warm_up_steps:
            carried["radius"].copy_(radius_of(distances, self.nu))
