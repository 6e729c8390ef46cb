"""What a trick is: a row with options, and functions hooked at named points of the training loop.

The points, in the order in which a run passes them (a trick gives None where it does nothing):

    plan         learning rates, steps of the discriminator, latent, layers; before all
    networks     the networks just built, changed in place; draws from torch's default generator
    state        tensors that the trick carries from step to step, kept in checkpoints
    draws        random numbers that it needs in each step of each player
    memory       generated images on their way to the discriminator's own step
    images       images on their way to the discriminator, real and fake, in both players' steps
    keep         the dropout multiplier of the discriminator's hidden units
    targets      what the discriminator is told about the images
    d_penalty    a term added to the discriminator's loss
    g_objective  replaces the generator's loss
    g_penalty    a term added to the generator's loss
    after_d, after_g   the parameters after a player's update

With no trick on, no list of hooks holds anything and the loop is the plain loop, bit for bit.
Functions from `memory` to `g_penalty` see one run and may be stacked by `torch.func.vmap`;
`after_d` and `after_g` see tensors that may carry a leading dimension of runs, and work in place.

Shape legend: B images of a batch, C,H,W an image, U hidden units of the discriminator, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from baselines.models.base import ImageShape, Layers, Model, Options, Verdict
from baselines.models.latents import Distribution
from baselines.models.losses import Loss, Targets
from baselines.models.random_draws import Draw

Player = Literal["discriminator", "generator"]
Role = Literal["real", "fake"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is decided before anything is built."""

    learning_rate_g: float
    learning_rate_d: float
    d_steps: int = 1
    latent: Distribution = "gaussian"
    separate_batches: bool = False  # D sees real and fake images in two calls, not one
    layers: Layers = field(default_factory=Layers)


class Sizes(NamedTuple):
    """What shapes of draws and states depend on."""

    batch_size: int
    image_shape: ImageShape
    num_units: int


class Facts(NamedTuple):
    """What a trick may refuse to work with."""

    model: Model
    model_options: Any
    loss: Loss


@dataclass(frozen=True)
class Net:
    """A network of one run: a module, with its own parameters or with those given."""

    module: nn.Module
    parameters: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]
    stacked: bool = False

    def __call__(self, *arguments: Tensor | None) -> Any:
        if not self.stacked:
            return self.module(*arguments)
        tensors = {**self.parameters, **self.buffers}
        return functional_call(self.module, tensors, arguments)

    def apart(self, *arguments: Tensor | None) -> Any:
        """A call that leaves the buffers as they are (statistics, power iterations)."""
        copies = {name: value.clone() for name, value in self.buffers.items()}
        return functional_call(self.module, {**self.parameters, **copies}, arguments)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What a hook sees: one player's step of one run. `draws` and `state` hold the trick's own
    tensors under `trick/key`; `progress` is the share of training done, float 0..1.
    """

    player: Player
    draws: Mapping[str, Tensor]
    state: Mapping[str, Tensor]
    progress: Tensor
    generator: Net
    discriminator: Net


class Judged(NamedTuple):
    """A batch as the discriminator saw it: images B,C,H,W, classes B,K or None, and the verdict."""

    images: Tensor
    classes: Tensor | None
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Trick:
    """One row of the table; see the module's docstring for the hooks. `requires` are switched on
    with it, `conflicts` maps another trick to the reason, `refuse` gives the reason why it cannot
    work with a model and loss. `overrides` are the settings of a run that it decides instead.
    """

    name: str
    title: str
    source: str
    options: type[Options] = Options
    requires: tuple[str, ...] = ()
    conflicts: Mapping[str, str] = field(default_factory=dict)
    refuse: Callable[[Facts, Any], str | None] | None = None
    overrides: tuple[str, ...] = ()
    plan: Callable[[Plan, Any], Plan] | None = None
    networks: Callable[[dict[str, nn.Module], Any], None] | None = None
    state: Callable[[dict[str, nn.Module], Sizes, Any], dict[str, Tensor]] | None = None
    draws: Callable[[Player, Sizes, Any], dict[str, Draw]] | None = None
    memory: Callable[[Tensor, Moment, Any], Tensor] | None = None
    images: Callable[[Tensor, Role, Moment, Any], Tensor] | None = None
    keep: Callable[[Role, Moment, Any], Tensor] | None = None
    targets: Callable[[Targets, Moment, Any], Targets] | None = None
    d_penalty: Callable[[Judged, Judged, Moment, Any], Tensor] | None = None
    g_objective: Callable[[Judged, Judged, Moment, Any], Tensor] | None = None
    g_penalty: Callable[[Moment, Any], Tensor] | None = None
    after_d: Callable[[Mapping[str, Tensor], Mapping[str, Tensor], Any], None] | None = None
    after_g: (
        Callable[[Mapping[str, Tensor], Mapping[str, Tensor], Mapping[str, Tensor], Any], None]
        | None
    ) = None


def needs_targets(facts: Facts, _options: Any) -> str | None:
    """The reason of label tricks against losses without labels."""
    if facts.loss.takes_targets:
        return None
    return f"loss {facts.loss.name!r} has no target labels to change"


def needs_convolutions(facts: Facts, _options: Any) -> str | None:
    """The reason of tricks about convolutions against dense models."""
    return None if facts.model.convolutional else f"model {facts.model.name!r} has no convolutions"


def needs_no_batch_norm(facts: Facts, _options: Any) -> str | None:
    """The reason of gradient penalties against batch norm in the discriminator."""
    if not facts.model.normalised(facts.model_options):
        return None
    return (
        "batch norm makes an image's output depend on the whole batch, so the gradient at one "
        "image is not defined; set model.batch_norm_discriminator=false"
    )


def input_gradient(net: Net, x: Tensor, y: Tensor | None) -> Tensor:
    """The gradient of each image's logit with respect to the image, B,C,H,W, differentiable."""
    if net.stacked:

        def total(images: Tensor) -> Tensor:
            logits: Tensor = net.apart(images, y, None).logits
            return logits.sum()

        gradient: Tensor = torch.func.grad(total)(x)
        return gradient
    x = x.detach().requires_grad_()
    logits = net.apart(x, y, None).logits
    (found,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return found


def over_runs(count: Tensor, like: Tensor) -> Tensor:
    """A number of each run (0 dimensions, or K) shaped to broadcast over `like` (..., or K,...)."""
    return count.view(*count.shape, *(1,) * (like.dim() - count.dim()))
