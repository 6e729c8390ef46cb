"""Historical averaging: each player's loss grows with the distance to its own past.

The penalty is |theta - (1/t) sum_i theta_i|^2, the mean over all past values, kept as a running
mean.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from baselines.models.base import Options
from baselines.tricks.base import Judged, Moment, Sizes, Trick, over_runs


class HistoricalOptions(Options):
    """Weight of the penalty; the paper gives none."""

    weight: float = Field(0.01, ge=0)


def _state(
    networks: dict[str, nn.Module], _sizes: Sizes, _options: HistoricalOptions
) -> dict[str, Tensor]:
    means = {
        f"{player}.{name}": value.detach().clone()
        for player, network in networks.items()
        for name, value in network.named_parameters()
    }
    return means | {f"count.{player}": torch.ones(()) for player in networks}


def _penalty(moment: Moment, options: HistoricalOptions) -> Tensor:
    net = moment.generator if moment.player == "generator" else moment.discriminator
    prefix = f"historical-averaging/{moment.player}."
    squares = [
        (value - moment.state[prefix + name]).square().sum()
        for name, value in net.parameters.items()
    ]
    return options.weight * torch.stack(squares).sum()


def _d_penalty(_real: Judged, _fake: Judged, moment: Moment, options: HistoricalOptions) -> Tensor:
    return _penalty(moment, options)


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
    title="a pull towards the mean of the past parameters",
    source="Salimans et al. 2016, section 3.3",
    options=HistoricalOptions,
    state=_state,
    d_penalty=_d_penalty,
    g_penalty=_penalty,
    after_d=_after_d,
    after_g=_after_g,
)
