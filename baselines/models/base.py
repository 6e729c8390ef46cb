"""What a model is: options, networks, and the numbers that its networks take and give.

Adversarial networks are called as `generator(z, y)` and `discriminator(x, y, keep)`: y is one-hot
float N,K for conditional models and None otherwise, `keep` is the dropout multiplier N,U of the
discriminator's U hidden units (channels, for convolutions) or None. They hold no random state.

Shape legend: N images, C channels, H rows, W columns, Z latent, K classes, F features, U units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, cast

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

ImageShape = tuple[int, int, int]  # C, H, W
Scale = Literal["signed", "unit"]  # values from -1 to 1, or from 0 to 1
Activation = Literal["relu", "leaky"]
Downsampling = Literal["stride", "pool"]
Kind = Literal["adversarial", "likelihood"]
SLOPE = 0.2
CONV_INIT_STD = 0.02  # Radford et al. 2016, section 4


class Options(BaseModel):
    """Settings of a model or a trick: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Verdict(NamedTuple):
    """What a discriminator says of N images: `logits` N, `features` N,F of its last hidden layer,
    `codes` N,Q (InfoGAN's estimate of the codes) or None.
    """

    logits: Tensor
    features: Tensor
    codes: Tensor | None = None


class Head(Protocol):
    """A layer between the last hidden features N,F and the logit; gives N,`out_features`."""

    out_features: int

    def __call__(self, features: Tensor) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class Layers:
    """What tricks choose in the networks; None is the model's own choice."""

    generator_activation: Activation | None = None
    discriminator_activation: Activation | None = None
    downsampling: Downsampling = "stride"
    up_kernel: int | None = None  # of the generator's transposed convolutions
    head: Callable[[int], nn.Module] | None = None  # built for F features; a `Head`


class LatentSpec(NamedTuple):
    """A latent vector: noise, then one-hot categories, then continuous codes in [-1, 1]."""

    noise: int
    categories: int = 0
    continuous: int = 0

    @property
    def dim(self) -> int:
        return self.noise + self.categories + self.continuous


@dataclass(frozen=True, kw_only=True)
class Model:
    """One row of the table. `build` gets options, image shape, number of classes and layers, and
    gives the networks by name: generator and discriminator, or autoencoder.
    """

    name: str
    title: str
    source: str
    kind: Kind
    options: type[Options]
    build: Callable[[Any, ImageShape, int, Layers], dict[str, nn.Module]]
    latent: Callable[[Any], LatentSpec] | None = None
    conditional: Callable[[Any], bool] = lambda _options: False
    convolutional: bool = False
    normalised: Callable[[Any], bool] = lambda _options: False  # batch norm in the discriminator

    @property
    def scale(self) -> Scale:
        """Range of the images: [-1, 1] against a tanh, [0, 1] for a likelihood."""
        return "signed" if self.kind == "adversarial" else "unit"


def activate(x: Tensor, activation: Activation) -> Tensor:
    """ReLU, or leaky ReLU of slope 0.2."""
    return F.relu(x) if activation == "relu" else F.leaky_relu(x, SLOPE)


def normalise(norm: nn.Module, h: Tensor) -> Tensor:
    """A layer of batch norm; in float32 where the rest is bfloat16 (stacked runs know no other)."""
    if h.dtype != torch.bfloat16 or isinstance(norm, nn.Identity):
        normal: Tensor = norm(h)
        return normal
    with torch.autocast(h.device.type, enabled=False):
        exact: Tensor = norm(h.float())
        return exact


def keep_part(h: Tensor, keep: Tensor | None, start: int) -> Tensor:
    """`h` (N,U' or N,U',H,W) times its columns of the dropout multiplier, from `start`."""
    if keep is None:
        return h
    part = keep[:, start : start + h.shape[1]]
    return h * part.reshape(*part.shape, *(1,) * (h.dim() - 2))


def with_head(num_features: int, layers: Layers) -> tuple[nn.Module | None, int]:
    """The head that a trick put in, and the number of values the logit is computed from."""
    if layers.head is None:
        return None, num_features
    head = layers.head(num_features)
    return head, cast("Head", head).out_features


@torch.no_grad()
def conv_init(network: nn.Module) -> None:
    """Weights from N(0, 0.02^2), batch-norm gains from N(1, 0.02^2), biases 0; heads keep their
    own. Draws from torch's default generator.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.weight.normal_(0, CONV_INIT_STD)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.weight.normal_(1, CONV_INIT_STD)
            module.bias.zero_()
