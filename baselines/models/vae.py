"""Variational autoencoders (Kingma & Welling 2014), dense and convolutional.

`forward(x, noise, y)` returns the decoder output for z = mean + exp(log_variance / 2) noise and
the posterior's mean and log variance. The objective is -(log p(x | z) - beta KL); beta is from
Higgins et al. 2017. With option `conditional`, encoder and decoder also read the class (Sohn et
al. 2015).

Shape legend: N images, C channels, H rows, W columns, Z latent, K classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from baselines.models.autoencoders import conv_decoder, conv_encoder, mlp
from baselines.models.base import ImageShape, Layers
from baselines.models.options import ConvVAEOptions, DenseVAEOptions, VAEOptions


class VAE(nn.Module):
    """A variational autoencoder. A dense encoder reads the one-hot class appended to the pixels; a
    convolutional one (`planes`) reads it as constant planes stacked on the image.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, options: VAEOptions, *, planes: bool
    ) -> None:
        super().__init__()
        self.planes = planes
        self.encoder, self.decoder = encoder, decoder
        self.latent_dim, self.likelihood = options.latent_dim, options.likelihood

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of q(z | x, y), N,Z each."""
        if not self.planes:
            x = x.flatten(1)
        if y is not None:
            shown = y[:, :, None, None].expand(-1, -1, *x.shape[2:]) if self.planes else y
            x = torch.cat([x, shown], dim=1)
        mean, log_variance = self.encoder(x).split(self.latent_dim, dim=1)
        return mean, log_variance

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return logits (Bernoulli) or means (Gaussian) of the pixels: N,C,H,W."""
        out: Tensor = self.decoder(z if y is None else torch.cat([z, y], dim=1))
        return out

    def pixels(self, out: Tensor) -> Tensor:
        """Map decoder output to mean pixels in [0, 1]."""
        return torch.sigmoid(out) if self.likelihood == "bernoulli" else out.clamp(0, 1)

    def forward(
        self, x: Tensor, noise: Tensor, y: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.encode(x, y)
        z = mean + torch.exp(0.5 * log_variance) * noise
        return self.decode(z, y), mean, log_variance


def build_dense(
    options: DenseVAEOptions, image_shape: ImageShape, num_classes: int, _layers: Layers
) -> dict[str, nn.Module]:
    """Return a dense VAE, conditional if the options say so."""
    k, size = num_classes if options.conditional else 0, math.prod(image_shape)
    encoder = mlp((size + k, *options.widths, 2 * options.latent_dim))
    decoder = nn.Sequential(
        mlp((options.latent_dim + k, *reversed(options.widths), size)),
        nn.Unflatten(1, image_shape),
    )
    return {"autoencoder": VAE(encoder, decoder, options, planes=False)}


def build_conv(
    options: ConvVAEOptions, image_shape: ImageShape, num_classes: int, _layers: Layers
) -> dict[str, nn.Module]:
    """Return a convolutional VAE, conditional if the options say so."""
    channels, height, width = image_shape
    k = num_classes if options.conditional else 0
    encoder = conv_encoder(options.width, (channels + k, height, width), 2 * options.latent_dim)
    decoder = conv_decoder(options.width, image_shape, options.latent_dim + k)
    return {"autoencoder": VAE(encoder, decoder, options, planes=True)}
