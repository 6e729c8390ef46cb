"""The two training steps: adversarial, and that of a single network.

A step is a deterministic function of parameters, trick states and draws. `Lanes` holds the tensors
of one run, or of K stacked runs with a leading dimension K (`baselines.training.stacked`); the
steps are the same for both. Without tricks, every list of hooks is empty.

The adversarial step follows Goodfellow et al. 2014, algorithm 1: one or k discriminator steps on
fresh real images and latents, then a generator step on fresh latents.

Shape legend: K runs, B images of a batch, C,H,W an image, Z latent.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.training.build import Game
from baselines.training.objectives import (
    Draws,
    Terms,
    autoencoder_objective,
    discriminator_objective,
    embedding_objective,
    generator_objective,
    vae_objective,
)
from baselines.training.training_images import TrainingSet
from baselines.tricks.base import Net, Player, StepContext

Objective = Callable[[Mapping[str, Net], Draws, Mapping[str, Tensor], Tensor], tuple[Tensor, Terms]]


@dataclass
class Lanes:
    """The tensors of one run, or of K stacked runs, by network and name."""

    game: Game
    modules: dict[str, nn.Module]
    parameters: dict[str, dict[str, Tensor]]
    buffers: dict[str, dict[str, Tensor]]
    state: dict[str, Tensor]
    optimisers: dict[str, torch.optim.Optimizer]
    num_runs: int | None = None  # None: a single run without a leading dimension
    autocast: str | None = None  # device type on which to compute in bfloat16

    def evaluate(
        self, objective: Objective, draws: Draws, progress: Tensor
    ) -> tuple[Tensor, Terms]:
        """Return loss and terms: scalars for one run, K values each for a stack."""
        with self._precision():
            if self.num_runs is None:
                nets = {
                    name: Net(module, self.parameters[name], self.buffers[name])
                    for name, module in self.modules.items()
                }
                return objective(nets, draws, self.state, progress)

            def one(parameters: Any, buffers: Any, state: Any, draws: Any) -> tuple[Tensor, Terms]:
                nets = {
                    name: Net(module, parameters[name], buffers[name], stacked=True)
                    for name, module in self.modules.items()
                }
                return objective(nets, draws, state, progress)

            found: tuple[Tensor, Terms] = torch.func.vmap(one)(
                self.parameters, self.buffers, self.state, dict(draws)
            )
            return found

    def update(self, network: str, loss: Tensor) -> None:
        """Take one optimiser step of a network; only its gradients are computed."""
        optimiser = self.optimisers[network]
        optimiser.zero_grad(set_to_none=True)
        total = loss if self.num_runs is None else loss.sum()  # runs share no parameter
        torch.autograd.backward(total, inputs=list(self.parameters[network].values()))
        optimiser.step()

    @contextlib.contextmanager
    def _precision(self) -> Iterator[None]:
        if self.autocast is None:
            yield
            return
        with torch.autocast(self.autocast, torch.bfloat16, cache_enabled=False):
            yield


def adversarial_step(lanes: Lanes, data: TrainingSet, draws: Draws, progress: Tensor) -> Terms:
    """Update both players in place and return the terms of each player's last update."""
    game = lanes.game
    terms: Terms = {}
    for number in range(game.plan.d_steps):
        part = _prepared(lanes, data, draws, "discriminator", number)
        loss, terms = lanes.evaluate(_objective(game, "discriminator"), part, progress)
        lanes.update("discriminator", loss)
        with torch.no_grad():
            for hook in game.hooks("after_d"):
                hook(lanes.parameters["discriminator"], lanes.state)
    part = _prepared(lanes, data, draws, "generator", None)
    loss, found = lanes.evaluate(_objective(game, "generator"), part, progress)
    lanes.update("generator", loss)
    with torch.no_grad():
        for hook in game.hooks("after_g"):
            hook(lanes.parameters["generator"], lanes.buffers["generator"], lanes.state)
    return _detached(terms | found)


def single_step(lanes: Lanes, data: TrainingSet, draws: Draws, progress: Tensor) -> Terms:
    """Update an autoencoder, a VAE or an embedding in place and return its terms."""
    game = lanes.game
    (name,) = lanes.modules
    part = _prepared(lanes, data, draws, name, None)
    if game.model.kind == "embedding":
        objective = embedding_objective
    else:
        objective = vae_objective if game.latent is not None else autoencoder_objective

    def bound(
        nets: Mapping[str, Net], d: Draws, _state: Mapping[str, Tensor], _progress: Tensor
    ) -> tuple[Tensor, Terms]:
        return objective(game, nets[name], d)

    loss, terms = lanes.evaluate(bound, part, progress)
    lanes.update(name, loss)
    return _detached(terms)


def _detached(terms: Terms) -> Terms:
    return {name: value.detach().float() for name, value in terms.items()}


def _prepared(
    lanes: Lanes, data: TrainingSet, draws: Draws, player: str, number: int | None
) -> dict[str, Tensor]:
    """Return the draws of one update, with indices replaced by images and one-hot classes."""
    game, prefix = lanes.game, f"{player}/"
    part = {name.removeprefix(prefix): v for name, v in draws.items() if name.startswith(prefix)}
    if number is not None:
        part = {
            name: v[number] if lanes.num_runs is None else v[:, number] for name, v in part.items()
        }
    if "index" in part:
        index = part.pop("index")
        part["real"] = data.batch(index, game.model.scale)
        if game.num_classes:
            part["real_class"] = F.one_hot(data.classes(index), game.num_classes).float()
    if "class" in part:
        part["class"] = F.one_hot(part["class"], game.num_classes).float()
    return part


def _objective(game: Game, player: Player) -> Objective:
    objective = discriminator_objective if player == "discriminator" else generator_objective

    def bound(
        nets: Mapping[str, Net], draws: Draws, state: Mapping[str, Tensor], progress: Tensor
    ) -> tuple[Tensor, Terms]:
        context = StepContext(
            player=player,
            draws=draws,
            state=state,
            progress=progress,
            generator=nets["generator"],
            discriminator=nets["discriminator"],
        )
        return objective(game, context)

    return bound
