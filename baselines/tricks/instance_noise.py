"""Instance noise: Gaussian noise on everything the discriminator sees, fading out linearly."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from baselines.models.base import Options
from baselines.models.random_draws import Draw, normal
from baselines.tricks.base import Moment, Player, Role, Sizes, Trick


class InstanceNoiseOptions(Options):
    """Deviation at the start, in units of the pixel range [-1, 1]; the share of training after
    which it is gone.
    """

    sigma: float = Field(0.1, ge=0)
    until: float = Field(1.0, gt=0, le=1)


def _draws(player: Player, sizes: Sizes, _options: InstanceNoiseOptions) -> dict[str, Draw]:
    roles = ("fake",) if player == "generator" else ("real", "fake")
    return {role: Draw((sizes.batch_size, *sizes.image_shape), normal) for role in roles}


def _images(x: Tensor, role: Role, moment: Moment, options: InstanceNoiseOptions) -> Tensor:
    # In the generator's step real images are read by feature matching alone: the fakes' noise.
    drawn = "fake" if moment.player == "generator" else role
    sigma = options.sigma * (1 - moment.progress / options.until).clamp_min(0)
    return x + sigma * moment.draws[f"instance-noise/{drawn}"]


INSTANCE_NOISE = Trick(
    name="instance-noise",
    title="decaying noise on real and fake images",
    source="Sønderby et al. 2017; Arjovsky & Bottou 2017",
    options=InstanceNoiseOptions,
    draws=_draws,
    images=_images,
)
