"""InfoGAN (Chen et al. 2016): part of the latent is a code that a head Q must read off the image.

The bound on the mutual information (their equation 5) is L_I = E[log Q(c | G(z, c))] + H(c). With
K equally likely categories H = log K, and each continuous code, uniform on [-1, 1], adds log 2. Q
is a softmax and a diagonal Gaussian. For the categories, L_I <= I(c; x) <= H(c).

Shape legend: N images, Z latent, K categories, J continuous codes, Q = K + 2 J values of the head.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.models.base import DiscriminatorOutput, ImageShape, LatentSpec, Layers
from baselines.models.conv import ConvDiscriminator, ConvGenerator
from baselines.models.layers import conv_init
from baselines.models.options import InfoOptions

HEAD_WIDTH = 128
MIN_LOG_SIGMA = -4.0
LOG_2_PI = math.log(2 * math.pi)


class InfoDiscriminator(ConvDiscriminator):
    """A discriminator whose features also feed the head Q; see `DiscriminatorOutput.codes`."""

    def __init__(self, options: InfoOptions, image_shape: ImageShape, layers: Layers) -> None:
        super().__init__(options, image_shape, 0, layers)
        self.read = nn.Sequential(
            nn.Linear(self.num_features, HEAD_WIDTH),
            nn.LeakyReLU(0.1),
            nn.Linear(HEAD_WIDTH, options.categories + 2 * options.continuous),
        )

    def forward(
        self, x: Tensor, y: Tensor | None = None, keep: Tensor | None = None
    ) -> DiscriminatorOutput:
        logits, features, _ = super().forward(x, y, keep)
        return DiscriminatorOutput(logits, features, self.read(features))


def mutual_information(codes_NQ: Tensor, z_NZ: Tensor, spec: LatentSpec) -> Tensor:
    """Return the lower bound L_I for generated images, a scalar in nats.

    `codes_NQ` holds category logits, means and log standard deviations; `z_NZ` the latents in the
    order of `LatentSpec`.

    >>> spec = LatentSpec(noise=0, categories=2)
    >>> certain = torch.tensor([[50.0, 0.0], [0.0, 50.0]])
    >>> round(float(mutual_information(certain, torch.eye(2), spec)), 4)  # log 2
    0.6931
    """
    k, j = spec.categories, spec.continuous
    category = z_NZ[:, spec.noise : spec.noise + k]
    bound = (category * F.log_softmax(codes_NQ[:, :k], dim=1)).sum(1).mean() + math.log(k)
    if j:
        mean = codes_NQ[:, k : k + j]
        log_sigma = codes_NQ[:, k + j :].clamp_min(MIN_LOG_SIGMA)
        error = (z_NZ[:, spec.noise + k :] - mean) * torch.exp(-log_sigma)
        log_q = -0.5 * (error.square() + LOG_2_PI) - log_sigma
        bound = bound + log_q.sum(1).mean() + j * math.log(2)
    return bound


def build(
    options: InfoOptions, image_shape: ImageShape, _num_classes: int, layers: Layers
) -> dict[str, nn.Module]:
    """Return a generator of the whole latent and a discriminator with the head Q."""
    latent = LatentSpec(options.latent_dim, options.categories, options.continuous)
    wide = options.model_copy(update={"latent_dim": latent.dim})
    networks: dict[str, nn.Module] = {
        "generator": ConvGenerator(wide, image_shape, 0, layers),
        "discriminator": InfoDiscriminator(options, image_shape, layers),
    }
    for network in networks.values():
        conv_init(network)
    return networks
