"""InfoGAN (Chen et al. 2016): part of the latent is a code that a head Q must read off the image.

The bound on the mutual information (their equation 5) is L_I = E[log Q(c | G(z, c))] + H(c): with
K equally likely categories H = log K, and each continuous code, uniform on [-1, 1], adds log 2; Q
is a softmax and a diagonal Gaussian. L_I never exceeds I(c; x) <= H(c) for the categories.

Shape legend: N images, Z latent, K categories, J continuous codes, Q = K + 2 J values of the head.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.models.base import (
    ImageShape,
    LatentSpec,
    Layers,
    Model,
    Verdict,
    conv_init,
)
from baselines.models.conv import ConvDiscriminator, ConvGenerator, ConvOptions

HEAD_WIDTH = 128
MIN_LOG_SIGMA = -4.0
LOG_2_PI = math.log(2 * math.pi)


class InfoOptions(ConvOptions):
    """`latent_dim` is the noise alone; `info_weight` is the paper's lambda."""

    latent_dim: int = Field(62, ge=1)
    categories: int = Field(10, ge=2)
    continuous: int = Field(2, ge=0)
    info_weight: float = Field(1.0, ge=0)


class InfoDiscriminator(ConvDiscriminator):
    """A discriminator whose features also feed the head Q; see `Verdict.codes`."""

    def __init__(self, options: InfoOptions, image_shape: ImageShape, layers: Layers) -> None:
        super().__init__(options, image_shape, 0, layers)
        self.read = nn.Sequential(
            nn.Linear(self.num_features, HEAD_WIDTH),
            nn.LeakyReLU(0.1),
            nn.Linear(HEAD_WIDTH, options.categories + 2 * options.continuous),
        )

    def forward(self, x: Tensor, y: Tensor | None = None, keep: Tensor | None = None) -> Verdict:
        logits, features, _ = super().forward(x, y, keep)
        return Verdict(logits, features, self.read(features))


def mutual_information(codes_NQ: Tensor, z_NZ: Tensor, spec: LatentSpec) -> Tensor:
    """The lower bound L_I in nats for generated images: a scalar.

    `codes_NQ` are category logits, means and log deviations; `z_NZ` the latents as `LatentSpec`
    lays them out.
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


def _latent(options: InfoOptions) -> LatentSpec:
    return LatentSpec(options.latent_dim, options.categories, options.continuous)


def _build(
    options: InfoOptions, image_shape: ImageShape, _num_classes: int, layers: Layers
) -> dict[str, nn.Module]:
    wide = options.model_copy(update={"latent_dim": _latent(options).dim})
    networks: dict[str, nn.Module] = {
        "generator": ConvGenerator(wide, image_shape, 0, layers),
        "discriminator": InfoDiscriminator(options, image_shape, layers),
    }
    for network in networks.values():
        conv_init(network)
    return networks


INFOGAN = Model(
    name="infogan",
    title="codes in the latent that can be read off the image",
    source="Chen et al. 2016",
    kind="adversarial",
    options=InfoOptions,
    build=_build,
    latent=_latent,
    convolutional=True,
    normalised=lambda options: options.batch_norm_discriminator,
)
