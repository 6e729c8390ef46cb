"""Variational autoencoders (Kingma & Welling 2014), dense and convolutional.

`forward(x, noise, y)` gives the decoder output for z = mean + exp(log_variance / 2) noise, and the
posterior's mean and log variance. The objective is -(log p(x | z) - beta KL) (Higgins et al. 2017
for beta); classes, when the options ask for them, enter encoder and decoder (Sohn et al. 2015).

Shape legend: N images, C channels, H rows, W columns, Z latent, K classes.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from baselines.models.autoencoders import conv_decoder, conv_encoder, mlp
from baselines.models.base import ImageShape, LatentSpec, Layers, Model, Options
from baselines.models.likelihoods import Likelihood


class VAEOptions(Options):
    """`sigma` is the deviation of a pixel under the Gaussian likelihood."""

    latent_dim: int = Field(16, ge=1)
    likelihood: Likelihood = "bernoulli"
    sigma: float = Field(0.2, gt=0)
    beta: float = Field(1.0, ge=0)
    conditional: bool = False


class DenseVAEOptions(VAEOptions):
    """Widths of the encoder from the input on; the decoder mirrors them."""

    widths: tuple[PositiveInt, ...] = (512, 256)


class ConvVAEOptions(VAEOptions):
    """`width` is the number of channels of the first convolution; each halving doubles it."""

    width: int = Field(32, ge=1)


class VAE(nn.Module):
    """See the module's docstring. A dense encoder reads classes beside the pixels, a convolutional
    one as planes beside the image.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, options: VAEOptions, *, planes: bool
    ) -> None:
        super().__init__()
        self.planes = planes
        self.encoder, self.decoder = encoder, decoder
        self.latent_dim, self.likelihood = options.latent_dim, options.likelihood

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x, y): N,Z each."""
        if not self.planes:
            x = x.flatten(1)
        if y is not None:
            shown = y[:, :, None, None].expand(-1, -1, *x.shape[2:]) if self.planes else y
            x = torch.cat([x, shown], dim=1)
        mean, log_variance = self.encoder(x).split(self.latent_dim, dim=1)
        return mean, log_variance

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Logits (Bernoulli) or means (Gaussian) of the pixels: N,C,H,W."""
        out: Tensor = self.decoder(z if y is None else torch.cat([z, y], dim=1))
        return out

    def pixels(self, out: Tensor) -> Tensor:
        """Decoder output -> mean pixels in [0, 1]."""
        return torch.sigmoid(out) if self.likelihood == "bernoulli" else out.clamp(0, 1)

    def forward(
        self, x: Tensor, noise: Tensor, y: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.encode(x, y)
        z = mean + torch.exp(0.5 * log_variance) * noise
        return self.decode(z, y), mean, log_variance


def _dense(
    options: DenseVAEOptions, image_shape: ImageShape, num_classes: int, _layers: Layers
) -> dict[str, nn.Module]:
    k, size = num_classes if options.conditional else 0, math.prod(image_shape)
    encoder = mlp((size + k, *options.widths, 2 * options.latent_dim))
    decoder = nn.Sequential(
        mlp((options.latent_dim + k, *reversed(options.widths), size)),
        nn.Unflatten(1, image_shape),
    )
    return {"autoencoder": VAE(encoder, decoder, options, planes=False)}


def _conv(
    options: ConvVAEOptions, image_shape: ImageShape, num_classes: int, _layers: Layers
) -> dict[str, nn.Module]:
    channels, height, width = image_shape
    k = num_classes if options.conditional else 0
    encoder = conv_encoder(options.width, (channels + k, height, width), 2 * options.latent_dim)
    decoder = conv_decoder(options.width, image_shape, options.latent_dim + k)
    return {"autoencoder": VAE(encoder, decoder, options, planes=True)}


DENSE_VAE = Model(
    name="vae",
    title="dense variational autoencoder",
    source="Kingma & Welling 2014; beta: Higgins et al. 2017; conditional: Sohn et al. 2015",
    kind="likelihood",
    options=DenseVAEOptions,
    build=_dense,
    latent=lambda options: LatentSpec(options.latent_dim),
    conditional=lambda options: options.conditional,
)
CONV_VAE = Model(
    name="conv-vae",
    title="convolutional variational autoencoder",
    source="Kingma & Welling 2014; beta: Higgins et al. 2017; conditional: Sohn et al. 2015",
    kind="likelihood",
    options=ConvVAEOptions,
    build=_conv,
    latent=lambda options: LatentSpec(options.latent_dim),
    conditional=lambda options: options.conditional,
    convolutional=True,
)
