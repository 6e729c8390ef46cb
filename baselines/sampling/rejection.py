"""Sampling methods as functions of latents, density ratios and Jacobians.

    truncation                 latents from N(0, 1) cut off at +-t (Brock et al. 2019, section 3.1)
    discriminator rejection    accept with probability sigmoid(F) (Azadi et al. 2019, section 3.3);
                               gamma is a percentile of F before its shift, 0 to 100
    budgeted rejection         accept with probability min(1, c r(x)), where r is the density ratio
                               and c makes 1/K the mean acceptance rate (Verine et al. 2024)
    latent rejection           reject latents at which the generator's Jacobian is largest, between
                               the modes (Tanielian et al. 2020)

Shape legend: N images, Z latent, K classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from baselines.models.random_draws import derive_seed
from baselines.sampling.trained import CHUNK, Trained, full_chunk

PERTURBATION = 0.01  # step of the finite differences of the Jacobian
# Orthogonal directions for the Jacobian's norm. On the demo's generator (latent of 54), norms from
# 24 directions have a rank correlation of .97 to .99 with exact norms; from 4, of .75 to .92.
DIRECTIONS = 24
EPSILON = 1e-6


def uniform_of(normal: Tensor) -> Tensor:
    """Map standard normal values to uniform ones on [0, 1] by the distribution function."""
    return 0.5 * (1 + torch.erf(normal / math.sqrt(2)))


def truncated(z: Tensor, threshold: float) -> Tensor:
    """Map standard normal values to the normal distribution cut off at +-threshold.

    The map is monotonic: a value keeps its quantile. It is computed in float64.

    >>> truncated(torch.tensor([-9.0, 0.0, 9.0]), 1.0)
    tensor([-1.,  0.,  1.])
    """
    mass = math.erf(threshold / math.sqrt(2))
    squeezed = torch.erf(z.double() / math.sqrt(2)) * mass
    return (torch.erfinv(squeezed) * math.sqrt(2)).clamp(-threshold, threshold).to(z.dtype)


def drs_values(log_ratio: Tensor, log_max: Tensor) -> Tensor:
    """Return F before its shift: D - D_M - log(1 - exp(D - D_M - eps)), Azadi's equation 8."""
    below = (log_ratio - log_max).clamp_max(0)
    return below - torch.log1p(-torch.exp(below - EPSILON))


def budget_scale(log_ratio: Tensor, budget: float) -> float:
    """Return log c such that mean(min(1, c r)) = 1/budget over the given ratios, by bisection.

    >>> round(budget_scale(torch.tensor([0.0, 0.0]), budget=2), 4)  # r = 1, so c = 1/2
    -0.6931
    """
    values = log_ratio.double()
    low, high = float(-values.max()) - 50, float(-values.min()) + 50
    for _ in range(200):
        middle = (low + high) / 2
        rate = float((values + middle).clamp_max(0).exp().mean())
        low, high = (middle, high) if rate < 1 / budget else (low, middle)
    return (low + high) / 2


def jacobian_norms(trained: Trained, z: Tensor, y: Tensor | None, seed: int) -> Tensor:
    """Return |J_G(z)|_F^2 for latents N,Z, by finite differences: N.

    Uses `DIRECTIONS` random orthogonal directions, or all Z of them if Z is smaller.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "directions"))
    dim = z.shape[1]
    num = min(DIRECTIONS, dim)
    found = []
    with torch.no_grad():
        axes = torch.linalg.qr(torch.randn(dim, dim, generator=generator)).Q
        steps = axes.T[:num].to(trained.device)
        size = trained.chunk or CHUNK
        for start in range(0, len(z), size):
            chunk = full_chunk(z, start, size).to(trained.device)
            classes = None if y is None else full_chunk(y, start, size).to(trained.device)
            here = trained.decode(chunk, classes)
            total = torch.zeros(size, device=trained.device)
            for step in steps:
                moved = trained.decode(chunk + PERTURBATION * step, classes)
                total += ((moved - here) / PERTURBATION).flatten(1).square().sum(1)
            found.append((total * (dim / num))[: len(z) - start].cpu())
    return torch.cat(found)
