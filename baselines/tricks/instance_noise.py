"""Instance noise: Gaussian noise on all images the discriminator sees, fading out linearly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from baselines.models.base import Options
from baselines.models.random_draws import Draw, normal
from baselines.tricks.base import Player, Role, Sizes, StepContext, Trick

if TYPE_CHECKING:
    from torch import Tensor


class InstanceNoiseOptions(Options):
    """`sigma` is the standard deviation at the start, for pixels in [-1, 1]; the noise is 0 after
    the fraction `until` of training.
    """

    sigma: float = Field(0.1, ge=0)
    until: float = Field(1.0, gt=0, le=1)


def _draws(player: Player, sizes: Sizes, _options: InstanceNoiseOptions) -> dict[str, Draw]:
    roles = ("fake",) if player == "generator" else ("real", "fake")
    return {role: Draw((sizes.batch_size, *sizes.image_shape), normal) for role in roles}


def _images(x: Tensor, role: Role, context: StepContext, options: InstanceNoiseOptions) -> Tensor:
    # In the generator's step only feature matching reads real images; they get the fakes' noise.
    drawn = "fake" if context.player == "generator" else role
    sigma = options.sigma * (1 - context.progress / options.until).clamp_min(0)
    return x + sigma * context.draws[f"instance-noise/{drawn}"]


INSTANCE_NOISE = Trick(
    name="instance-noise",
    title="decaying noise on real and fake images",
    source="Sønderby et al. 2017; Arjovsky & Bottou 2017",
    options=InstanceNoiseOptions,
    draws=_draws,
    images=_images,
)
