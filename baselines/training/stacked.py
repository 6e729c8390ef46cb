"""Turn built games into `Lanes`: one run as it is, or K runs stacked into one program.

A stack holds every tensor of K runs of one architecture with a leading dimension K and evaluates
the objective under `torch.func.vmap`: dense layers become batched matrix products, convolutions
become grouped ones. Runs share no parameter, so that the gradient of the sum of their losses
contains each run's own gradient, and optimisers work elementwise. The runs of a stack may differ in
seed and, with Adam, in learning rates; `stacks_of` groups other runs into separate stacks. A
stacked run equals its single run up to the order of float32 sums inside a product (tested: 1e-4
relative after 3 steps for every trick, after 20 for ten recipes). If such a difference moves an
output across the kink of a ReLU, the runs drift further apart, as they do between two machines.

Shape legend: K runs.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from baselines.recipes.config import RunConfig
from baselines.training.build import Game
from baselines.training.steps import Lanes
from bench.errors import UsageError


class StackedAdam(torch.optim.Optimizer):
    """Adam (Kingma & Ba 2015) on tensors K,... with one learning rate per run."""

    def __init__(
        self, parameters: Sequence[Tensor], rates_K: Tensor, betas: tuple[float, float]
    ) -> None:
        super().__init__(parameters, {"betas": betas, "eps": 1e-8})
        self.rates_K = rates_K
        for p in parameters:
            self.state[p] = {
                "step": torch.zeros((), device=p.device),
                "exp_avg": torch.zeros_like(p),
                "exp_avg_sq": torch.zeros_like(p),
            }

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update the parameters in place. Raises `UsageError` for a closure."""
        if closure is not None:
            raise UsageError("StackedAdam takes no closure")
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                state = self.state[p]
                state["step"].add_(1)
                state["exp_avg"].lerp_(p.grad, 1 - beta1)
                state["exp_avg_sq"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                correction1 = 1 - beta1 ** state["step"]
                correction2 = 1 - beta2 ** state["step"]
                spread = (state["exp_avg_sq"] / correction2).sqrt_().add_(group["eps"])
                rate = self.rates_K.view(-1, *(1,) * (p.dim() - 1)) / correction1
                p.sub_(rate * state["exp_avg"] / spread)


def optimiser_of(
    config: RunConfig, parameters: list[Tensor], rate: float, device: str
) -> torch.optim.Optimizer:
    """Return the optimiser of one network, fused if possible and ready for a CUDA graph."""
    cuda = device.startswith("cuda")
    if config.optimiser == "adam":
        return torch.optim.Adam(
            parameters, rate, (config.beta1, config.beta2), fused=True, capturable=cuda
        )
    if config.optimiser == "rmsprop":
        return torch.optim.RMSprop(parameters, rate, capturable=cuda)
    return torch.optim.SGD(parameters, rate, momentum=config.beta1, fused=True)


def learning_rate_of(game: Game, network: str) -> float:
    """Return the learning rate of one network, after all tricks."""
    plan = game.plan
    return plan.learning_rate_d if network == "discriminator" else plan.learning_rate_g


def single_lanes(game: Game, device: str = "cpu") -> Lanes:
    """Return the lanes of one run on a device.

    Convolutional networks take the channels-last layout, which is 7 % faster on a CPU.
    """
    networks = {name: network.to(device) for name, network in game.networks.items()}
    if game.model.convolutional:
        for network in networks.values():
            network.to(memory_format=torch.channels_last)
    parameters: dict[str, dict[str, Tensor]] = {
        name: dict(network.named_parameters()) for name, network in networks.items()
    }
    return Lanes(
        game=game,
        modules=networks,
        parameters=parameters,
        buffers={name: dict(network.named_buffers()) for name, network in networks.items()},
        state={name: value.to(device) for name, value in game.state.items()},
        optimisers={
            name: optimiser_of(
                game.config, list(parameters[name].values()), learning_rate_of(game, name), device
            )
            for name in networks
        },
        autocast=_autocast(game, device),
    )


def stacked_lanes(games: Sequence[Game], device: str = "cpu") -> Lanes:
    """Return the lanes of K runs as one program; `stacks_of` says what they must have in common."""
    first = games[0]
    modules = {name: _template(network) for name, network in first.networks.items()}
    parameters: dict[str, dict[str, Tensor]] = {}
    buffers: dict[str, dict[str, Tensor]] = {}
    optimisers: dict[str, torch.optim.Optimizer] = {}
    for name in first.networks:
        each = [game.networks[name] for game in games]
        parameters[name] = {
            key: _laid_out(
                _stack([dict(n.named_parameters())[key] for n in each], device)
            ).requires_grad_()
            for key, _ in each[0].named_parameters()
        }
        buffers[name] = {
            key: _stack([dict(n.named_buffers())[key] for n in each], device)
            for key, _ in each[0].named_buffers()
        }
        rates = [learning_rate_of(game, name) for game in games]
        tensors = list(parameters[name].values())
        if len(set(rates)) == 1:
            optimisers[name] = optimiser_of(first.config, tensors, rates[0], device)
        else:
            config = first.config
            optimisers[name] = StackedAdam(
                tensors, torch.tensor(rates, device=device), (config.beta1, config.beta2)
            )
    return Lanes(
        game=first,
        modules=modules,
        parameters=parameters,
        buffers=buffers,
        state={key: _stack([game.state[key] for game in games], device) for key in first.state},
        optimisers=optimisers,
        num_runs=len(games),
        autocast=_autocast(first, device),
    )


def _autocast(game: Game, device: str) -> str | None:
    return device.split(":", maxsplit=1)[0] if game.config.precision == "bfloat16" else None


def _stack(tensors: Sequence[Tensor], device: str) -> Tensor:
    return torch.stack([t.detach() for t in tensors]).to(device)


def _laid_out(weights: Tensor) -> Tensor:
    """Lay matrices K,out,in out in memory as K,in,out.

    A batched product returns their gradients in this layout, so the optimiser needs no copy.
    """
    if weights.dim() != 3:
        return weights
    return weights.transpose(1, 2).contiguous().transpose(1, 2)


def _template(network: nn.Module) -> nn.Module:
    """Return a copy of the network without weights; `functional_call` supplies them."""
    return copy.deepcopy(network).to("meta")


def require_one_program(games: Sequence[Game]) -> None:
    """Raise `UsageError` for runs of different models, whose terms differ, or of different lengths:
    they cannot train as one program.
    """
    for name in ("model", "num_steps"):
        found = sorted({getattr(game.config, name) for game in games})
        if len(found) > 1:
            raise UsageError(
                f"runs of one program need the same {name}, got {', '.join(map(str, found))}; "
                "train them one after the other"
            )


def stacks_of(configs: Sequence[RunConfig]) -> list[list[int]]:
    """Group runs, by index, into stacks: runs with the same settings except for the seed and, with
    Adam, the learning rates.
    """
    found: dict[str, list[int]] = {}
    for number, config in enumerate(configs):
        found.setdefault(_common_settings(config), []).append(number)
    return list(found.values())


def _common_settings(config: RunConfig) -> str:
    """Return the settings that all runs of a stack share, as JSON."""
    free = {"seed", "learning_rate"} if config.optimiser == "adam" else {"seed"}
    whole: dict[str, Any] = config.model_dump(mode="json", exclude=free)
    if config.optimiser == "adam" and "two-time-scales" in whole["tricks"]:
        whole["tricks"]["two-time-scales"] = None  # it sets learning rates
    return json.dumps(whole, sort_keys=True)
