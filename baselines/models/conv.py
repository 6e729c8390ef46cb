"""DCGAN (Radford et al. 2016) for images of up to 64 px, unconditional or conditioned on the class.

The generator projects the latent to a small map (7x7 for 28 px, 4x4 for powers of two) and doubles
it by transposed convolutions with batch norm and ReLU. The discriminator mirrors it with strided
convolutions, leaky ReLU of slope 0.2, and batch norm after all but the first. Convolutions have
kernel 4 and stride 2: a kernel that the stride divides leaves no checkerboard (Odena et al. 2016).

In a conditional DCGAN (Mirza & Osindero 2014) the one-hot class is appended to the latent vector,
and the discriminator reads it as constant planes stacked on the image.

Shape legend: N images, C channels, H rows, W columns, Z latent, K classes, F features, U units.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.models.base import (
    Activation,
    DiscriminatorOutput,
    ImageShape,
    Layers,
)
from baselines.models.grid import grid_of
from baselines.models.layers import activate, apply_keep, build_head, conv_init, normalise
from baselines.models.options import ConvOptions

KERNEL, STRIDE = 4, 2


def up_convolution(in_channels: int, out_channels: int, kernel: int, *, bias: bool) -> nn.Module:
    """Return a transposed convolution that exactly doubles the map, for any kernel of 2 or more."""
    padding = (kernel - 1) // 2
    # out = (in - 1) * 2 - 2 * padding + kernel + output_padding
    output_padding = 2 + 2 * padding - kernel
    return nn.ConvTranspose2d(
        in_channels,
        out_channels,
        kernel,
        STRIDE,
        padding,
        output_padding=output_padding,
        bias=bias,
    )


class ConvGenerator(nn.Module):
    """A generator. `forward(z, y)` maps float N,Z (and one-hot N,K) to N,C,H,W in (-1, 1)."""

    def __init__(
        self, options: ConvOptions, image_shape: ImageShape, num_classes: int, layers: Layers
    ) -> None:
        super().__init__()
        self.grid = grid_of(image_shape)
        self.activation: Activation = layers.generator_activation or "relu"
        levels = reversed(range(self.grid.num_halvings))
        widths = [options.width * 2**level for level in levels]
        self.base = (widths[0], *self.grid.base)
        normal = options.batch_norm_generator
        kernel = layers.up_kernel or KERNEL
        self.stem = nn.Linear(
            options.latent_dim + num_classes, math.prod(self.base), bias=not normal
        )
        self.ups = nn.ModuleList(
            up_convolution(a, b, kernel, bias=not normal) for a, b in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(width) if normal else nn.Identity() for width in widths
        )
        self.out = up_convolution(widths[-1], image_shape[0], kernel, bias=True)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.stem(z if y is None else torch.cat([z, y], dim=1)).view(-1, *self.base)
        h = activate(normalise(self.norms[0], h), self.activation)
        for up, norm in zip(self.ups, self.norms[1:], strict=True):
            h = activate(normalise(norm, up(h)), self.activation)
        return self.grid.cut(torch.tanh(self.out(h)))


class ConvDiscriminator(nn.Module):
    """A discriminator. `forward(x, y, keep)` maps N,C,H,W in [-1, 1] to a `DiscriminatorOutput`."""

    def __init__(
        self, options: ConvOptions, image_shape: ImageShape, num_classes: int, layers: Layers
    ) -> None:
        super().__init__()
        self.grid = grid_of(image_shape)
        self.activation: Activation = layers.discriminator_activation or "leaky"
        self.pool = layers.downsampling == "pool"
        widths = [options.width * 2**level for level in range(self.grid.num_halvings)]
        self.num_units = sum(widths)
        normal = options.batch_norm_discriminator

        def down(in_channels: int, out_channels: int, *, bias: bool) -> nn.Module:
            if self.pool:
                return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)
            return nn.Conv2d(in_channels, out_channels, KERNEL, STRIDE, padding=1, bias=bias)

        inputs = (image_shape[0] + num_classes, *widths[:-1])
        self.downs = nn.ModuleList(
            down(a, b, bias=not (normal and number))
            for number, (a, b) in enumerate(zip(inputs, widths, strict=True))
        )
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(width) if normal and number else nn.Identity()
            for number, width in enumerate(widths)
        )
        num_features = widths[-1] * math.prod(self.grid.base)
        self.num_features = num_features
        self.head, num_scored = build_head(num_features, layers)
        self.out = nn.Linear(num_scored, 1)

    def forward(
        self, x: Tensor, y: Tensor | None = None, keep: Tensor | None = None
    ) -> DiscriminatorOutput:
        h = self.grid.fit(x)
        if y is not None:
            planes = y[:, :, None, None].expand(-1, -1, *h.shape[2:])
            h = torch.cat([h, planes], dim=1)
        start = 0
        for down, norm in zip(self.downs, self.norms, strict=True):
            h = activate(normalise(norm, down(h)), self.activation)
            h = apply_keep(F.avg_pool2d(h, STRIDE) if self.pool else h, keep, start)
            start += h.shape[1]
        features = h.flatten(1)
        scored = features if self.head is None else self.head(features)
        return DiscriminatorOutput(self.out(scored)[:, 0], features)


def build(
    options: ConvOptions, image_shape: ImageShape, num_classes: int, layers: Layers
) -> dict[str, nn.Module]:
    """Return a generator and a discriminator, conditional ones if `num_classes` is not 0."""
    networks: dict[str, nn.Module] = {
        "generator": ConvGenerator(options, image_shape, num_classes, layers),
        "discriminator": ConvDiscriminator(options, image_shape, num_classes, layers),
    }
    for network in networks.values():
        conv_init(network)
    return networks
