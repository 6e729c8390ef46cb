"""Autoencoders: dense and convolutional, plain, sparse, overcomplete, denoising.

`forward(x)` gives (decoder output, code); `decode(z)` the output for a code. The output is a logit
of the pixel under loss "bernoulli" and the pixel itself under "mse"; `pixels` turns it into [0, 1].
A linear autoencoder under squared error spans the subspace of PCA (Baldi & Hornik 1989).

Shape legend: N images, C channels, H rows, W columns, Z code.
"""

from __future__ import annotations

import itertools
import math
from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.models.base import ImageShape, Layers, Model, Options
from baselines.models.grid import Cut, Fit, grid_of
from baselines.models.likelihoods import Corruption, Penalty

CodeActivation = Literal["linear", "relu", "sigmoid"]
Reconstruction = Literal["mse", "bernoulli"]


class AutoencoderOptions(Options):
    """What is common to all: code, loss, penalty on the code, corruption of the input."""

    code_dim: int = Field(32, ge=1)
    code_activation: CodeActivation = "linear"
    loss: Reconstruction = "mse"
    penalty: Penalty = "none"
    penalty_weight: float = Field(0.0, ge=0)
    target_rate: float = Field(0.05, gt=0, lt=1)  # of a code unit, for penalty "kl"
    corruption: Corruption = "none"
    corruption_level: float = Field(0.0, ge=0)  # nu for masking, sigma for gaussian


class DenseAutoencoderOptions(AutoencoderOptions):
    """Widths of the encoder from the input on; the decoder mirrors them."""

    widths: tuple[PositiveInt, ...] = (256,)


class ConvAutoencoderOptions(AutoencoderOptions):
    """`width` is the number of channels of the first convolution; each halving doubles it."""

    width: int = Field(32, ge=1)


def mlp(widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers with ReLU between them, none at the end."""
    parts: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        parts += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def conv_encoder(width: int, image_shape: ImageShape, out: int) -> nn.Sequential:
    """Strided convolutions, ReLU, and a linear layer to `out` values."""
    grid = grid_of(image_shape)
    widths = [image_shape[0], *(width * 2**level for level in range(grid.num_halvings))]
    parts: list[nn.Module] = [] if grid.is_exact else [Fit(grid)]
    for a, b in itertools.pairwise(widths):
        parts += [nn.Conv2d(a, b, 4, 2, padding=1), nn.ReLU()]
    size = widths[-1] * math.prod(grid.base)
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(size, out))


def conv_decoder(width: int, image_shape: ImageShape, dim: int) -> nn.Sequential:
    """The mirror of `conv_encoder`: N,dim -> N,C,H,W without a final activation."""
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
    """An encoder N,C,H,W -> N,Z and a decoder N,Z -> N,C,H,W with an activation of the code."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, options: AutoencoderOptions) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.code_activation, self.loss = options.code_activation, options.loss

    def encode(self, x: Tensor) -> Tensor:
        """The code of images in [0, 1]: N,Z."""
        code: Tensor = self.encoder(x)
        if self.code_activation == "relu":
            return F.relu(code)
        return torch.sigmoid(code) if self.code_activation == "sigmoid" else code

    def decode(self, z: Tensor) -> Tensor:
        out: Tensor = self.decoder(z)
        return out

    def pixels(self, out: Tensor) -> Tensor:
        """Decoder output -> pixels in [0, 1]."""
        return torch.sigmoid(out) if self.loss == "bernoulli" else out.clamp(0, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encode(x)
        return self.decode(code), code


def _dense(
    options: DenseAutoencoderOptions, image_shape: ImageShape, _num_classes: int, _layers: Layers
) -> dict[str, nn.Module]:
    size = math.prod(image_shape)
    encoder = nn.Sequential(nn.Flatten(), mlp((size, *options.widths, options.code_dim)))
    decoder = nn.Sequential(
        mlp((options.code_dim, *reversed(options.widths), size)), nn.Unflatten(1, image_shape)
    )
    return {"autoencoder": Autoencoder(encoder, decoder, options)}


def _conv(
    options: ConvAutoencoderOptions, image_shape: ImageShape, _num_classes: int, _layers: Layers
) -> dict[str, nn.Module]:
    encoder = conv_encoder(options.width, image_shape, options.code_dim)
    decoder = conv_decoder(options.width, image_shape, options.code_dim)
    return {"autoencoder": Autoencoder(encoder, decoder, options)}


DENSE_AUTOENCODER = Model(
    name="autoencoder",
    title="dense autoencoder; without hidden widths a linear one",
    source="Hinton & Salakhutdinov 2006; linear: Baldi & Hornik 1989; denoising: Vincent 2010",
    kind="likelihood",
    options=DenseAutoencoderOptions,
    build=_dense,
)
CONV_AUTOENCODER = Model(
    name="conv-autoencoder",
    title="strided convolutions down to a code, transposed ones up",
    source="Masci et al. 2011",
    kind="likelihood",
    options=ConvAutoencoderOptions,
    build=_conv,
    convolutional=True,
)
