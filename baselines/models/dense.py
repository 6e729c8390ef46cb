"""Dense GANs: multilayer perceptrons of any widths, the course's network among them.

Goodfellow et al. 2014 with today's activations: a generator of linear layers, leaky ReLU 0.2 and a
tanh; a discriminator of linear layers, leaky ReLU 0.2 and one logit. The course network is
100-256-512-1024-784 against 784-1024-512-256-1.

Shape legend: N images, C channels, H rows, W columns, Z latent, K classes, F features, U units.
"""

from __future__ import annotations

import itertools
import math

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from baselines.models.base import (
    Activation,
    ImageShape,
    LatentSpec,
    Layers,
    Model,
    Options,
    Verdict,
    activate,
    keep_part,
    normalise,
    with_head,
)


class DenseOptions(Options):
    """Widths from the input on."""

    latent_dim: int = Field(100, ge=1)
    generator_widths: tuple[PositiveInt, ...] = (256, 512, 1024)
    discriminator_widths: tuple[PositiveInt, ...] = (1024, 512, 256)
    batch_norm: bool = False  # in the generator, behind every hidden layer but the first


class DenseGenerator(nn.Module):
    """`forward(z, y)`: float N,Z (and one-hot N,K) -> N,C,H,W in (-1, 1)."""

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
    """`forward(x, y, keep)`: N,C,H,W in [-1, 1] -> `Verdict`."""

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
        self.head, num_features = with_head(widths[-1], layers)
        self.out = nn.Linear(num_features, 1)

    def forward(self, x: Tensor, y: Tensor | None = None, keep: Tensor | None = None) -> Verdict:
        h = x.flatten(1)
        if y is not None:
            h = torch.cat([h, y], dim=1)
        start = 0
        for layer in self.hidden:
            h = keep_part(activate(layer(h), self.activation), keep, start)
            start += h.shape[1]
        scored = h if self.head is None else self.head(h)
        return Verdict(self.out(scored)[:, 0], h)


def build_dense(
    options: DenseOptions, image_shape: ImageShape, num_classes: int, layers: Layers
) -> dict[str, nn.Module]:
    """Generator and discriminator; conditional ones when `num_classes` is not 0."""
    activation: Activation = layers.generator_activation or "leaky"
    return {
        "generator": DenseGenerator(options, image_shape, num_classes, activation),
        "discriminator": DenseDiscriminator(options, image_shape, num_classes, layers),
    }


def _unconditional(
    options: DenseOptions, image_shape: ImageShape, _num_classes: int, layers: Layers
) -> dict[str, nn.Module]:
    return build_dense(options, image_shape, 0, layers)


DENSE_GAN = Model(
    name="dense-gan",
    title="multilayer perceptrons of any widths",
    source="Goodfellow et al. 2014; the course's widths are the default",
    kind="adversarial",
    options=DenseOptions,
    build=_unconditional,
    latent=lambda options: LatentSpec(options.latent_dim),
)
