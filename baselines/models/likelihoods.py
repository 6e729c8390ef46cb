"""The terms of autoencoders and VAEs: log-likelihoods, divergences, penalties, corruptions.

All pure functions; every likelihood and divergence is in nats per image, batch rows kept apart.

Shape legend: N images, D pixels of an image (flattened), Z code dimensions.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Likelihood = Literal["bernoulli", "gaussian"]
Corruption = Literal["none", "masking", "gaussian"]
Penalty = Literal["none", "l1", "kl"]
LOG_2_PI = math.log(2 * math.pi)
RATE_MARGIN = 1e-4  # observed rates stay this far from 0 and 1


def bernoulli_log_likelihood(logits_ND: Tensor, x_ND: Tensor) -> Tensor:
    """Sum over pixels of x log p + (1 - x) log(1 - p), p = sigmoid(logits): N.

    For grey values between 0 and 1 this is minus a cross entropy, the usual practice for MNIST
    (Kingma & Welling 2014, appendix C.1), and no normalised density (Loaiza-Ganem & Cunningham
    2019).
    """
    return -F.binary_cross_entropy_with_logits(logits_ND, x_ND, reduction="none").sum(-1)


def gaussian_log_likelihood(mean_ND: Tensor, x_ND: Tensor, sigma: float) -> Tensor:
    """Log density of x under N(mean, sigma^2 I): N."""
    squares = (x_ND - mean_ND).square().sum(-1) / sigma**2
    return -0.5 * (squares + x_ND.shape[-1] * (LOG_2_PI + 2 * math.log(sigma)))


def kl_to_standard_normal(mean_NZ: Tensor, log_variance_NZ: Tensor) -> Tensor:
    """KL(N(mean, diag exp(log_variance)) || N(0, I)), Kingma & Welling 2014, appendix B: N."""
    return 0.5 * (mean_NZ.square() + log_variance_NZ.exp() - 1 - log_variance_NZ).sum(-1)


def sparsity_penalty(code_NZ: Tensor, kind: Penalty, rate: float) -> Tensor:
    """A scalar that grows with the activity of the code.

    "l1": the mean over images of the sum of absolute activities. "kl": the sum over units of
    KL(Bernoulli(rate) || Bernoulli(mean activity)), activities in [0, 1] (Ng 2011, CS294A notes).
    """
    if kind == "none":
        return code_NZ.new_zeros(())
    if kind == "l1":
        return code_NZ.abs().sum(-1).mean()
    observed = code_NZ.mean(0).clamp(RATE_MARGIN, 1 - RATE_MARGIN)
    on = rate * (math.log(rate) - observed.log())
    off = (1 - rate) * (math.log1p(-rate) - (-observed).log1p())
    return (on + off).sum()


def corrupt(x: Tensor, noise: Tensor, kind: Corruption, level: float) -> Tensor:
    """What a denoising autoencoder reads (Vincent et al. 2010, section 3.3).

    "masking" puts a pixel to 0 where `noise`, uniform of the shape of x, is below `level` (nu);
    "gaussian" adds `level` times `noise`, standard normal, without clipping.
    """
    if kind == "none":
        return x
    if kind == "masking":
        return torch.where(noise < level, 0.0, x)
    return x + level * noise
