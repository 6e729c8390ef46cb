"""Autoencoders: dense and convolutional, plain, sparse, overcomplete, denoising.

`forward(x)` returns (decoder output, code) and `decode(z)` the output for a code. The output is a
pixel's logit under loss "bernoulli" and the pixel itself under "mse"; `pixels` maps it to [0, 1].
A linear autoencoder with squared error spans the subspace of PCA (Baldi & Hornik 1989).

Shape legend: N images, C channels, H rows, W columns, Z code.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.models.base import ImageShape, Layers
from baselines.models.grid import Cut, Fit, grid_of
from baselines.models.options import (
    AutoencoderOptions,
    ConvAutoencoderOptions,
    DenseAutoencoderOptions,
)


def mlp(widths: tuple[int, ...]) -> nn.Sequential:
    """Return linear layers with ReLU between them and none at the end."""
    parts: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        parts += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def conv_encoder(width: int, image_shape: ImageShape, out: int) -> nn.Sequential:
    """Return strided convolutions with ReLU and a final linear layer: N,C,H,W -> N,out."""
    grid = grid_of(image_shape)
    widths = [image_shape[0], *(width * 2**level for level in range(grid.num_halvings))]
    parts: list[nn.Module] = [] if grid.is_exact else [Fit(grid)]
    for a, b in itertools.pairwise(widths):
        parts += [nn.Conv2d(a, b, 4, 2, padding=1), nn.ReLU()]
    size = widths[-1] * math.prod(grid.base)
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(size, out))


def conv_decoder(width: int, image_shape: ImageShape, dim: int) -> nn.Sequential:
    """Return the mirror of `conv_encoder`: N,dim -> N,C,H,W, without a final activation."""
    grid = grid_of(image_shape)
    levels = reversed(range(grid.num_halvings))
    widths = [*(width * 2**level for level in levels), image_shape[0]]
    base = (widths[0], *grid.base)
    parts: list[nn.Module] = [nn.Linear(dim, math.prod(base)), nn.ReLU(), nn.Unflatten(1, base)]
    for a, b in itertools.pairwise(widths):
        parts += [nn.ConvTranspose2d(a, b, 4, 2, padding=1), nn.ReLU()]
    last = [] if grid.is_exact else [Cut(grid)]
    return nn.Sequential(*parts[:-1], *last)


class Autoencoder(nn.Module):
    """An encoder N,C,H,W -> N,Z with an activation of the code, and a decoder N,Z -> N,C,H,W."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, options: AutoencoderOptions) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.code_activation, self.loss = options.code_activation, options.loss

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes N,Z of images in [0, 1]."""
        code: Tensor = self.encoder(x)
        if self.code_activation == "relu":
            return F.relu(code)
        return torch.sigmoid(code) if self.code_activation == "sigmoid" else code

    def decode(self, z: Tensor) -> Tensor:
        """Return the decoder output N,C,H,W for codes."""
        out: Tensor = self.decoder(z)
        return out

    def pixels(self, out: Tensor) -> Tensor:
        """Map decoder output to pixels in [0, 1]."""
        return torch.sigmoid(out) if self.loss == "bernoulli" else out.clamp(0, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encode(x)
        return self.decode(code), code


def build_dense(
    options: DenseAutoencoderOptions, image_shape: ImageShape, _num_classes: int, _layers: Layers
) -> dict[str, nn.Module]:
    """Return a dense autoencoder."""
    size = math.prod(image_shape)
    encoder = nn.Sequential(nn.Flatten(), mlp((size, *options.widths, options.code_dim)))
    decoder = nn.Sequential(
        mlp((options.code_dim, *reversed(options.widths), size)), nn.Unflatten(1, image_shape)
    )
    return {"autoencoder": Autoencoder(encoder, decoder, options)}


def build_conv(
    options: ConvAutoencoderOptions, image_shape: ImageShape, _num_classes: int, _layers: Layers
) -> dict[str, nn.Module]:
    """Return a convolutional autoencoder."""
    encoder = conv_encoder(options.width, image_shape, options.code_dim)
    decoder = conv_decoder(options.width, image_shape, options.code_dim)
    return {"autoencoder": Autoencoder(encoder, decoder, options)}
