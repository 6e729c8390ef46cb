"""The contrastive embedding of Hadsell, Chopra & LeCun (2006), "Dimensionality reduction by
learning an invariant mapping" (DrLIM).

A pair of images that differ in content is varied: rotated and shifted, each by its own amount. With
the distance D of the two codes, Y = 1 for similar and 0 for dissimilar variations, and margin m,

    loss = Y / 2 D^2 + (1 - Y) / 2 max(0, m - D)^2      (the paper writes Y for 1 - Y)

Similar variations end up close whatever the content, so that positions show the variation and
ignore everything else. The paper does this with the azimuth and elevation of toys (its section
3.4), and the codes form a cylinder; rotation and shift of limited range form a sheet.

Shape legend: B pairs, C channels, H rows, W columns, Z code. A variation is a rotation and a shift
as shares from -1 to 1 of their largest values.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from baselines.models.autoencoders import conv_encoder
from baselines.models.base import ImageShape, Layers
from baselines.models.options import EmbeddingOptions

FLOOR = 1e-12  # under the square root, so that the gradient of a distance of 0 is finite


class Embedding(nn.Module):
    """A convolutional encoder: images N,C,H,W in [0, 1] -> codes N,Z."""

    def __init__(self, options: EmbeddingOptions, image_shape: ImageShape) -> None:
        super().__init__()
        self.encoder = conv_encoder(options.width, image_shape, options.code_dim)

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes of images."""
        codes: Tensor = self.encoder(x)
        return codes

    def forward(self, x: Tensor) -> Tensor:
        return self.encode(x)


def build(
    options: EmbeddingOptions,
    image_shape: ImageShape,
    num_classes: int,  # noqa: ARG001  (the interface of a model)
    layers: Layers,  # noqa: ARG001
) -> dict[str, nn.Module]:
    """Return the encoder."""
    return {"encoder": Embedding(options, image_shape)}


class Pairs(NamedTuple):
    """Variations of both images of B pairs, float B,2 each, and whether they are similar: bool
    B.
    """

    first: Tensor
    second: Tensor
    similar: Tensor


def paired_variations(first_B2: Tensor, second_B2: Tensor, near_B: Tensor, share: float) -> Pairs:
    """Return pairs from uniform numbers in [0, 1).

    Half of the second variations (those with `near` below 1/2) are drawn near the first: within
    `share` of the whole range, and within the range. A pair is similar when both parts differ by
    at most that.

    >>> half = torch.full((1, 2), 0.5)
    >>> paired_variations(half, torch.ones(1, 2), torch.zeros(1), 0.1).second  # 0 + 0.2, the reach
    tensor([[0.2000, 0.2000]])
    """
    reach = 2 * share  # in units in which the range is -1 to 1
    first, anywhere = 2 * first_B2 - 1, 2 * second_B2 - 1
    nearby = (first + reach * anywhere).clamp(-1, 1)
    second = torch.where((near_B < 0.5)[..., None], nearby, anywhere)
    similar = ((second - first).abs() <= reach + 1e-6).all(dim=-1)
    return Pairs(first, second, similar)


def contrastive_loss(distance_B: Tensor, similar_B: Tensor, margin: float) -> Tensor:
    """Return the loss of every pair, as above.

    >>> contrastive_loss(torch.tensor([2.0, 0.4, 2.0]), torch.tensor([True, False, False]), 1.0)
    tensor([2.0000, 0.1800, 0.0000])
    """
    apart = (margin - distance_B).clamp_min(0)
    return torch.where(similar_B, distance_B.square(), apart.square()) / 2


def code_distances(codes_2BZ: Tensor) -> Tensor:
    """Return the distance of code i of the first half from code i of the second half: B."""
    first, second = codes_2BZ.chunk(2)
    return (first - second).square().sum(dim=-1).add(FLOOR).sqrt()
