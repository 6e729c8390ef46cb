"""Latent vectors by distribution: what a generator is fed, in training and in sampling.

Shape legend: ... any leading dimensions, Z latent.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.models.base import LatentSpec
from baselines.models.random_draws import Sampler

Distribution = Literal["gaussian", "uniform", "spherical"]


def shape_noise(noise: Tensor, distribution: Distribution) -> Tensor:
    """Standard normal ...,Z to the distribution: itself; uniform on [-1, 1] (by the normal's
    distribution function); uniform on the sphere of radius sqrt(Z) (White 2016).
    """
    if distribution == "gaussian":
        return noise
    if distribution == "uniform":
        return torch.erf(noise / math.sqrt(2))
    radius = math.sqrt(noise.shape[-1])
    on_sphere: Tensor = noise * (radius / noise.norm(dim=-1, keepdim=True).clamp_min(1e-12))
    return on_sphere


def latent_sampler(spec: LatentSpec, distribution: Distribution = "gaussian") -> Sampler:
    """A sampler of ...,Z latents: noise by `distribution`, one-hot category, continuous codes
    uniform on [-1, 1].
    """

    def sampler(generator: torch.Generator, shape: tuple[int, ...]) -> Tensor:
        leading, device = shape[:-1], generator.device
        noise = torch.randn((*leading, spec.noise), generator=generator, device=device)
        parts = [shape_noise(noise, distribution)]
        if spec.categories:
            category = torch.randint(spec.categories, leading, generator=generator, device=device)
            parts.append(F.one_hot(category, spec.categories).float())
        if spec.continuous:
            codes = torch.rand((*leading, spec.continuous), generator=generator, device=device)
            parts.append(codes * 2 - 1)
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]

    return sampler
