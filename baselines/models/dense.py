"""Dense GANs: multilayer perceptrons of any widths, unconditional or conditioned on the class.

Goodfellow et al. 2014 with today's activations. The generator has linear layers, leaky ReLU of
slope 0.2 and a tanh; the discriminator has linear layers, the same leaky ReLU and one logit. The
course's networks are 100-256-512-1024-784 and 784-1024-512-256-1.

In a conditional GAN (Mirza & Osindero 2014) the one-hot class is appended to the latent vector and
to the pixels.

Shape legend: N images, C channels, H rows, W columns, Z latent, K classes, F features, U units.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from baselines.models.base import (
    Activation,
    DiscriminatorOutput,
    ImageShape,
    Layers,
)
from baselines.models.layers import activate, apply_keep, build_head, normalise
from baselines.models.options import DenseOptions


class DenseGenerator(nn.Module):
    """A generator. `forward(z, y)` maps float N,Z (and one-hot N,K) to N,C,H,W in (-1, 1)."""

    def __init__(
        self,
        options: DenseOptions,
        image_shape: ImageShape,
        num_classes: int,
        activation: Activation,
    ) -> None:
        super().__init__()
        self.image_shape, self.activation = image_shape, activation
        widths = (options.latent_dim + num_classes, *options.generator_widths)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.norms = nn.ModuleList(
            nn.BatchNorm1d(width) if options.batch_norm and number else nn.Identity()
            for number, width in enumerate(options.generator_widths)
        )
        self.out = nn.Linear(widths[-1], math.prod(image_shape))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = z if y is None else torch.cat([z, y], dim=1)
        for layer, norm in zip(self.hidden, self.norms, strict=True):
            h = activate(normalise(norm, layer(h)), self.activation)
        return torch.tanh(self.out(h)).view(-1, *self.image_shape)


class DenseDiscriminator(nn.Module):
    """A discriminator. `forward(x, y, keep)` maps N,C,H,W in [-1, 1] to a `DiscriminatorOutput`."""

    def __init__(
        self,
        options: DenseOptions,
        image_shape: ImageShape,
        num_classes: int,
        layers: Layers,
    ) -> None:
        super().__init__()
        self.activation: Activation = layers.discriminator_activation or "leaky"
        widths = (math.prod(image_shape) + num_classes, *options.discriminator_widths)
        self.num_units = sum(options.discriminator_widths)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.head, num_features = build_head(widths[-1], layers)
        self.out = nn.Linear(num_features, 1)

    def forward(
        self, x: Tensor, y: Tensor | None = None, keep: Tensor | None = None
    ) -> DiscriminatorOutput:
        h = x.flatten(1)
        if y is not None:
            h = torch.cat([h, y], dim=1)
        start = 0
        for layer in self.hidden:
            h = apply_keep(activate(layer(h), self.activation), keep, start)
            start += h.shape[1]
        scored = h if self.head is None else self.head(h)
        return DiscriminatorOutput(self.out(scored)[:, 0], h)


def build(
    options: DenseOptions, image_shape: ImageShape, num_classes: int, layers: Layers
) -> dict[str, nn.Module]:
    """Return a generator and a discriminator, conditional ones if `num_classes` is not 0."""
    activation: Activation = layers.generator_activation or "leaky"
    return {
        "generator": DenseGenerator(options, image_shape, num_classes, activation),
        "discriminator": DenseDiscriminator(options, image_shape, num_classes, layers),
    }
