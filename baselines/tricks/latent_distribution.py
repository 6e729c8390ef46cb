"""Latent distribution: Gaussian, uniform on [-1, 1], or uniform on the sphere of radius sqrt(Z)."""

from __future__ import annotations

import dataclasses

from baselines.models.base import Distribution, Options
from baselines.tricks.base import Plan, Trick


class LatentOptions(Options):
    """`distribution` is that of the noise part of the latent."""

    distribution: Distribution = "uniform"


def _plan(plan: Plan, options: LatentOptions) -> Plan:
    return dataclasses.replace(plan, latent=options.distribution)


LATENT_DISTRIBUTION = Trick(
    name="latent",
    title="uniform or spherical latent instead of a Gaussian",
    source="Radford et al. 2016 (uniform); White 2016 (spherical)",
    options=LatentOptions,
    plan=_plan,
)
