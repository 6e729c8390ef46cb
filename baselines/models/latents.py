"""Draw latent vectors, the generator's input in training and in sampling.

Shape legend: ... any leading dimensions, Z latent.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.models.base import Distribution, LatentSpec
from baselines.models.random_draws import Sampler


def shape_noise(noise: Tensor, distribution: Distribution) -> Tensor:
    """Map standard normal noise ...,Z to a distribution.

    "gaussian" returns it unchanged, "uniform" maps it to [-1, 1] by the normal's distribution
    function, "spherical" to the sphere of radius sqrt(Z) (White 2016).

    >>> shape_noise(torch.tensor([3.0, 4.0]), "spherical")  # radius sqrt(2)
    tensor([0.8485, 1.1314])
    """
    if distribution == "gaussian":
        return noise
    if distribution == "uniform":
        return torch.erf(noise / math.sqrt(2))
    radius = math.sqrt(noise.shape[-1])
    on_sphere: Tensor = noise * (radius / noise.norm(dim=-1, keepdim=True).clamp_min(1e-12))
    return on_sphere


def latent_sampler(spec: LatentSpec, distribution: Distribution = "gaussian") -> Sampler:
    """Return a sampler of latents ...,Z: noise of the distribution, a one-hot category, and
    continuous codes uniform on [-1, 1].
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
