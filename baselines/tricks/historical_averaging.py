"""Historical averaging: each player's loss grows with the distance from its own past parameters.

The penalty is |theta - (1/t) sum_i theta_i|^2. The mean over past values is a running mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from baselines.models.base import Options
from baselines.tricks.base import JudgedBatch, Sizes, StepContext, Trick, over_runs

if TYPE_CHECKING:
    from torch import Tensor, nn


class HistoricalOptions(Options):
    """`weight` is that of the penalty; the paper does not give one."""

    weight: float = Field(0.01, ge=0)


def _state(
    networks: dict[str, nn.Module], _sizes: Sizes, _options: HistoricalOptions
) -> dict[str, Tensor]:
    import torch

    means = {
        f"{player}.{name}": value.detach().clone()
        for player, network in networks.items()
        for name, value in network.named_parameters()
    }
    return means | {f"count.{player}": torch.ones(()) for player in networks}


def _penalty(context: StepContext, options: HistoricalOptions) -> Tensor:
    net = context.generator if context.player == "generator" else context.discriminator
    prefix = f"historical-averaging/{context.player}."
    squares = [
        (value - context.state[prefix + name]).square().sum()
        for name, value in net.parameters.items()
    ]
    import torch

    return options.weight * torch.stack(squares).sum()


def _d_penalty(
    _real: JudgedBatch, _fake: JudgedBatch, context: StepContext, options: HistoricalOptions
) -> Tensor:
    return _penalty(context, options)


def _update(player: str, parameters: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    count = state[f"historical-averaging/count.{player}"]
    count.add_(1)
    for name, value in parameters.items():
        mean = state[f"historical-averaging/{player}.{name}"]
        mean.add_((value - mean) / over_runs(count, value))


def _after_d(
    parameters: Mapping[str, Tensor], state: Mapping[str, Tensor], _options: HistoricalOptions
) -> None:
    _update("discriminator", parameters, state)


def _after_g(
    parameters: Mapping[str, Tensor],
    _buffers: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    _options: HistoricalOptions,
) -> None:
    _update("generator", parameters, state)


HISTORICAL_AVERAGING = Trick(
    name="historical-averaging",
    title="parameters pulled towards the mean of their past",
    source="Salimans et al. 2016, section 3.3",
    options=HistoricalOptions,
    state=_state,
    d_penalty=_d_penalty,
    g_penalty=_penalty,
    after_d=_after_d,
    after_g=_after_g,
)
