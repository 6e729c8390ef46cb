"""EMA: samples come from an exponential moving average of the generator's weights.

The decay of step t is min(decay, (1 + t) / (10 + t)), so that the first weights are soon
forgotten. Batch-norm statistics are averaged in the same way. Training itself does not change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from baselines.models.base import Options
from baselines.tricks.base import Sizes, Trick, over_runs

if TYPE_CHECKING:
    from torch import Tensor, nn


class EMAOptions(Options):
    """`decay` is the weight of the past in each step."""

    decay: float = Field(0.999, gt=0, lt=1)


def _state(
    networks: dict[str, nn.Module], _sizes: Sizes, _options: EMAOptions
) -> dict[str, Tensor]:
    import torch

    average = {
        f"generator.{name}": value.detach().clone()
        for name, value in networks["generator"].state_dict().items()
    }
    return average | {"count": torch.zeros(())}


def _after_g(
    parameters: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    options: EMAOptions,
) -> None:
    count = state["ema/count"]
    count.add_(1)
    rate = 1 - ((1 + count) / (10 + count)).clamp_max(options.decay)
    for name, value in {**parameters, **buffers}.items():
        shadow = state[f"ema/generator.{name}"]
        if shadow.is_floating_point():
            shadow.add_((value - shadow) * over_runs(rate, value))
        else:
            shadow.copy_(value)


EMA = Trick(
    name="ema",
    title="samples from a moving average of the generator's weights",
    source="Yazici et al. 2019; Karras et al. 2018",
    options=EMAOptions,
    state=_state,
    after_g=_after_g,
)
