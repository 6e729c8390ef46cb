"""A trick: a table row with options, and hooks at named points of the training loop.

The hooks, in the order in which a run calls them. A trick leaves out those it does not need.

    plan         changes learning rates, discriminator steps, latent or layers before the build
    networks     changes the built networks in place; draws from torch's default generator
    state        returns tensors that the trick carries from step to step, saved in checkpoints
    draws        returns the random numbers that the trick needs in each step of each player
    memory       changes generated images before the discriminator's own step
    images       changes real and fake images before the discriminator, in both players' steps
    keep         returns the dropout multiplier of the discriminator's hidden units
    targets      changes the discriminator's target labels
    d_penalty    returns a term to add to the discriminator's loss
    g_objective  returns a replacement for the generator's loss
    g_penalty    returns a term to add to the generator's loss
    after_d, after_g   change the parameters in place after a player's update

Without tricks no hook is called, and the loop is the plain loop bit for bit. The hooks from
`memory` to `g_penalty` see one run and may be stacked by `torch.func.vmap`. The tensors that
`after_d` and `after_g` see may have a leading dimension of runs.

Importing this module loads no torch, so that `latentbench recipes` can list the tricks quickly.

Shape legend: B images of a batch, C,H,W an image, U hidden units of the discriminator, F features.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from baselines.models.base import (
    DiscriminatorOutput,
    Distribution,
    ImageShape,
    Layers,
    Model,
    Options,
)
from baselines.models.losses import Loss, Targets
from baselines.models.random_draws import Draw

if TYPE_CHECKING:
    from torch import Tensor, nn

Player = Literal["discriminator", "generator"]
Role = Literal["real", "fake"]
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
WITHOUT_BATCH_NORM = "model.batch_norm_discriminator=false"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The decisions that are made before the networks are built."""

    learning_rate_g: float
    learning_rate_d: float
    d_steps: int = 1
    latent: Distribution = "gaussian"
    separate_batches: bool = False  # D sees real and fake images in two calls, not one
    layers: Layers = field(default_factory=Layers)


class Sizes(NamedTuple):
    """The sizes that the shapes of draws and states depend on."""

    batch_size: int
    image_shape: ImageShape
    num_units: int


class RunFacts(NamedTuple):
    """The model and loss of a run, which a trick may refuse."""

    model: Model
    model_options: Any
    loss: Loss


@dataclass(frozen=True)
class Net:
    """A network of one run: a module with its own parameters or, in a stack, with given ones."""

    module: nn.Module
    parameters: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]
    stacked: bool = False

    def __call__(self, *arguments: Tensor | None) -> Any:
        if not self.stacked:
            return self.module(*arguments)
        from torch.func import functional_call

        tensors = {**self.parameters, **self.buffers}
        return functional_call(self.module, tensors, arguments)

    def call_without_updates(self, *arguments: Tensor | None) -> Any:
        """Call the network without changing its buffers (batch statistics, power iterations)."""
        from torch.func import functional_call

        copies = {name: value.clone() for name, value in self.buffers.items()}
        return functional_call(self.module, {**self.parameters, **copies}, arguments)


@dataclass(frozen=True, kw_only=True)
class StepContext:
    """One player's step of one run, as a hook sees it. `draws` and `state` hold the trick's own
    tensors under `trick/key`; `progress` is the fraction of training done, float 0..1. It stays 1
    in a run that is trained longer than it was started for.
    """

    player: Player
    draws: Mapping[str, Tensor]
    state: Mapping[str, Tensor]
    progress: Tensor
    generator: Net
    discriminator: Net


class JudgedBatch(NamedTuple):
    """A batch as the discriminator saw it: images B,C,H,W, classes B,K or None, and its output."""

    images: Tensor
    classes: Tensor | None
    output: DiscriminatorOutput


@dataclass(frozen=True, kw_only=True)
class Trick:
    """One row of the table of tricks; the module's docstring explains the hooks.

    `requires` names tricks that are switched on with it. `conflicts` maps another trick to the
    reason why the two cannot be combined. `refuse` returns the reason why the trick cannot be used
    with a model and loss, or None. `overrides` names the settings of a run that the trick replaces.
    Every hook takes the trick's options as its last argument. Raises `ValueError` for a name other
    than lower-case words joined by hyphens.
    """

    name: str
    title: str
    source: str
    options: type[Options] = Options
    requires: tuple[str, ...] = ()
    conflicts: Mapping[str, str] = field(default_factory=dict)
    refuse: Callable[[RunFacts, Any], str | None] | None = None
    overrides: tuple[str, ...] = ()
    plan: Callable[[Plan, Any], Plan] | None = None
    networks: Callable[[dict[str, nn.Module], Any], None] | None = None
    state: Callable[[dict[str, nn.Module], Sizes, Any], dict[str, Tensor]] | None = None
    draws: Callable[[Player, Sizes, Any], dict[str, Draw]] | None = None
    memory: Callable[[Tensor, StepContext, Any], Tensor] | None = None
    images: Callable[[Tensor, Role, StepContext, Any], Tensor] | None = None
    keep: Callable[[Role, StepContext, Any], Tensor] | None = None
    targets: Callable[[Targets, StepContext, Any], Targets] | None = None
    d_penalty: Callable[[JudgedBatch, JudgedBatch, StepContext, Any], Tensor] | None = None
    g_objective: Callable[[JudgedBatch, JudgedBatch, StepContext, Any], Tensor] | None = None
    g_penalty: Callable[[StepContext, Any], Tensor] | None = None
    after_d: Callable[[Mapping[str, Tensor], Mapping[str, Tensor], Any], None] | None = None
    after_g: (
        Callable[[Mapping[str, Tensor], Mapping[str, Tensor], Mapping[str, Tensor], Any], None]
        | None
    ) = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f"trick {self.name!r}: a name is lower-case words joined by hyphens, as 'my-trick'"
            )


def needs_targets(facts: RunFacts, _options: Any) -> str | None:
    """Return why a trick on target labels cannot be used with this loss, or None."""
    if facts.loss.takes_targets:
        return None
    return f"loss {facts.loss.name!r} has no target labels to change"


def needs_convolutions(facts: RunFacts, _options: Any) -> str | None:
    """Return why a trick on convolutions cannot be used with this model, or None."""
    return None if facts.model.convolutional else f"model {facts.model.name!r} has no convolutions"


def needs_no_batch_norm(facts: RunFacts, _options: Any) -> str | None:
    """Return why a gradient penalty cannot be used with this discriminator, or None."""
    if not facts.model.normalised(facts.model_options):
        return None
    return (
        "batch norm makes an image's output depend on the whole batch, so the gradient at one "
        f"image is not defined; set {WITHOUT_BATCH_NORM}"
    )


def input_gradient(net: Net, x: Tensor, y: Tensor | None) -> Tensor:
    """Return the gradient of each image's logit with respect to the image: B,C,H,W.

    It is differentiable itself, for penalties on gradients.
    """
    import torch

    if net.stacked:

        def total(images: Tensor) -> Tensor:
            logits: Tensor = net.call_without_updates(images, y, None).logits
            return logits.sum()

        gradient: Tensor = torch.func.grad(total)(x)
        return gradient
    x = x.detach().requires_grad_()
    logits = net.call_without_updates(x, y, None).logits
    (found,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return found


def over_runs(count: Tensor, like: Tensor) -> Tensor:
    """Reshape one number per run (no dimension, or K) to broadcast over `like` (..., or K,...)."""
    return count.view(*count.shape, *(1,) * (like.dim() - count.dim()))
