"""Weight clipping: every parameter of the discriminator stays within [-c, c]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from baselines.models.base import Options
from baselines.tricks.base import Trick

if TYPE_CHECKING:
    from torch import Tensor


class WeightClippingOptions(Options):
    """`limit` is the paper's c."""

    limit: float = Field(0.01, gt=0)


def _after_d(
    parameters: Mapping[str, Tensor], _state: Mapping[str, Tensor], options: WeightClippingOptions
) -> None:
    for value in parameters.values():
        value.clamp_(-options.limit, options.limit)


WEIGHT_CLIPPING = Trick(
    name="weight-clipping",
    title="discriminator parameters within [-0.01, 0.01]",
    source="Arjovsky et al. 2017, algorithm 1",
    options=WeightClippingOptions,
    after_d=_after_d,
)
