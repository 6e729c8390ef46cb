"""Dropout of the discriminator's hidden units (of whole channels, for convolutions)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from baselines.models.base import Options
from baselines.models.random_draws import Draw, uniform
from baselines.tricks.base import Player, Role, Sizes, StepContext, Trick

if TYPE_CHECKING:
    from torch import Tensor


class DropoutOptions(Options):
    """`probability` is that of dropping a unit."""

    probability: float = Field(0.3, ge=0, lt=1)


def _draws(player: Player, sizes: Sizes, _options: DropoutOptions) -> dict[str, Draw]:
    roles = ("fake",) if player == "generator" else ("real", "fake")
    return {role: Draw((sizes.batch_size, sizes.num_units), uniform) for role in roles}


def _keep(role: Role, context: StepContext, options: DropoutOptions) -> Tensor:
    kept = context.draws[f"dropout/{role}"] >= options.probability
    return kept / (1 - options.probability)


DROPOUT = Trick(
    name="dropout",
    title="hidden units of the discriminator dropped at random",
    source="Srivastava et al. 2014; Tompson et al. 2015 for channels",
    options=DropoutOptions,
    draws=_draws,
    keep=_keep,
)
