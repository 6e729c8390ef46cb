"""Label flips: now and then an image is told the target of the other kind."""

from __future__ import annotations

import torch
from pydantic import Field

from baselines.models.base import Options
from baselines.models.losses import Targets
from baselines.models.random_draws import Draw, uniform
from baselines.tricks.base import Moment, Player, Sizes, Trick, needs_targets


class LabelFlipOptions(Options):
    """The share of images with flipped labels."""

    probability: float = Field(0.05, ge=0, le=0.5)


def _draws(player: Player, sizes: Sizes, _options: LabelFlipOptions) -> dict[str, Draw]:
    if player == "generator":
        return {}
    return {role: Draw((sizes.batch_size,), uniform) for role in ("real", "fake")}


def _targets(targets: Targets, moment: Moment, options: LabelFlipOptions) -> Targets:
    real, fake = (
        moment.draws[f"label-flips/{role}"] < options.probability for role in ("real", "fake")
    )
    return Targets(
        torch.where(real, targets.fake, targets.real),
        torch.where(fake, targets.real, targets.fake),
    )


LABEL_FLIPS = Trick(
    name="label-flips",
    title="labels flipped now and then",
    source="Chintala et al. 2016 (ganhacks), item 6",
    options=LabelFlipOptions,
    refuse=needs_targets,
    draws=_draws,
    targets=_targets,
)
