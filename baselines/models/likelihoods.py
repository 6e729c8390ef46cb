"""The terms of autoencoders and VAEs: log-likelihoods, divergences, penalties, corruptions.

Likelihoods and divergences are in nats, one value per image.

Shape legend: N images, D pixels of an image (flattened), Z code dimensions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.models.options import Corruption, Penalty

LOG_2_PI = math.log(2 * math.pi)
RATE_MARGIN = 1e-4  # observed rates stay this far from 0 and 1


def bernoulli_log_likelihood(logits_ND: Tensor, x_ND: Tensor) -> Tensor:
    """Return the sum over pixels of x log p + (1 - x) log(1 - p) with p = sigmoid(logits): N.

    For grey values between 0 and 1 this is a negative cross entropy, the usual practice for MNIST
    (Kingma & Welling 2014, appendix C.1), but not a normalised density (Loaiza-Ganem & Cunningham
    2019).

    >>> bernoulli_log_likelihood(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]]))  # 2 log(1/2)
    tensor([-1.3863])
    """
    return -F.binary_cross_entropy_with_logits(logits_ND, x_ND, reduction="none").sum(-1)


def gaussian_log_likelihood(mean_ND: Tensor, x_ND: Tensor, sigma: float) -> Tensor:
    """Return the log density of x under N(mean, sigma^2 I): N."""
    squares = (x_ND - mean_ND).square().sum(-1) / sigma**2
    return -0.5 * (squares + x_ND.shape[-1] * (LOG_2_PI + 2 * math.log(sigma)))


def kl_to_standard_normal(mean_NZ: Tensor, log_variance_NZ: Tensor) -> Tensor:
    """Return KL(N(mean, diag exp(log_variance)) || N(0, I)): N (Kingma & Welling 2014, appendix B).

    >>> kl_to_standard_normal(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2))  # (1 + 4) / 2
    tensor([2.5000])
    """
    return 0.5 * (mean_NZ.square() + log_variance_NZ.exp() - 1 - log_variance_NZ).sum(-1)


def sparsity_penalty(code_NZ: Tensor, kind: Penalty, rate: float) -> Tensor:
    """Return a scalar that grows with the activity of the code.

    "l1" is the mean over images of the sum of absolute activities. "kl" is the sum over units of
    KL(Bernoulli(rate) || Bernoulli(mean activity)) for activities in [0, 1] (Ng 2011, CS294A
    notes).
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
    """Return the corrupted input of a denoising autoencoder (Vincent et al. 2010, section 3.3).

    `noise` has the shape of x. "masking" sets a pixel to 0 where uniform noise is below `level`
    (nu); "gaussian" adds `level` times standard normal noise, without clipping.
    """
    if kind == "none":
        return x
    if kind == "masking":
        return torch.where(noise < level, 0.0, x)
    return x + level * noise
