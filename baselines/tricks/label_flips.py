"""Label flips: a few random images get the other kind's target."""

from __future__ import annotations

from pydantic import Field

from baselines.models.base import Options
from baselines.models.losses import Targets
from baselines.models.random_draws import Draw, uniform
from baselines.tricks.base import Player, Sizes, StepContext, Trick, needs_targets


class LabelFlipOptions(Options):
    """`probability` is that of flipping an image's label."""

    probability: float = Field(0.05, ge=0, le=0.5)


def _draws(player: Player, sizes: Sizes, _options: LabelFlipOptions) -> dict[str, Draw]:
    if player == "generator":
        return {}
    return {role: Draw((sizes.batch_size,), uniform) for role in ("real", "fake")}


def _targets(targets: Targets, context: StepContext, options: LabelFlipOptions) -> Targets:
    real, fake = (
        context.draws[f"label-flips/{role}"] < options.probability for role in ("real", "fake")
    )
    return Targets(
        targets.fake.where(real, targets.real),
        targets.real.where(fake, targets.fake),
    )


LABEL_FLIPS = Trick(
    name="label-flips",
    title="labels of a few random images flipped",
    source="Chintala et al. 2016 (ganhacks), item 6",
    options=LabelFlipOptions,
    refuse=needs_targets,
    draws=_draws,
    targets=_targets,
)
