"""Replay buffer: the discriminator also sees images that the generator made earlier.

While the pool of 50 fills, images are stored and passed on. Once it is full, each new image is,
with probability 1/2, swapped for a random one of the pool, which takes its place.

Shape legend: B images of a batch, P images of the pool, C,H,W an image.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from baselines.models.base import Options
from baselines.models.random_draws import Draw, integers, uniform
from baselines.tricks.base import Facts, Moment, Player, Sizes, Trick


class ReplayOptions(Options):
    """Size of the pool and probability of a swap."""

    pool_size: int = Field(50, ge=1)
    probability: float = Field(0.5, ge=0, le=1)


def _state(
    _networks: dict[str, nn.Module], sizes: Sizes, options: ReplayOptions
) -> dict[str, Tensor]:
    return {
        "pool": torch.zeros(options.pool_size, *sizes.image_shape),
        "filled": torch.zeros((), dtype=torch.int64),
    }


def _draws(player: Player, sizes: Sizes, options: ReplayOptions) -> dict[str, Draw]:
    if player == "generator":
        return {}
    return {
        "coin": Draw((sizes.batch_size,), uniform),
        "place": Draw((sizes.batch_size,), integers(options.pool_size)),
    }


def exchange(
    fake: Tensor, pool: Tensor, filled: Tensor, swap: Tensor, place: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Images for the discriminator, the new pool, the new filling.

    `fake` B,C,H,W; `pool` P,C,H,W; `filled` int64; `swap` bool B; `place` int64 B. The first empty
    places take the first images as they are. All swaps of a batch read the pool as it was before
    the batch; where two images chose one place, the later one stays there.
    """
    size, num = pool.shape[0], fake.shape[0]
    order = torch.arange(num, device=fake.device)
    stored = order < size - filled  # these images fill empty places
    swapped = swap & ~stored & (filled >= size)
    shape = (num, *(1,) * (fake.dim() - 1))
    shown = torch.where(swapped.view(shape), pool.index_select(0, place), fake)
    target = torch.where(stored, (filled + order).clamp_max(size - 1), place)
    # The last image that goes to a place wins: the largest order of those that go there.
    goes = (stored | swapped)[:, None] & (target[:, None] == torch.arange(size, device=fake.device))
    winner = torch.where(goes, order[:, None], -1).amax(0)  # P
    updated = torch.where(
        (winner >= 0).view(size, *shape[1:]), fake.index_select(0, winner.clamp_min(0)), pool
    )
    return shown, updated, (filled + num).clamp_max(size)


def _memory(fake: Tensor, moment: Moment, options: ReplayOptions) -> Tensor:
    pool, filled = moment.state["replay-buffer/pool"], moment.state["replay-buffer/filled"]
    swap = moment.draws["replay-buffer/coin"] < options.probability
    shown, updated, count = exchange(fake, pool, filled, swap, moment.draws["replay-buffer/place"])
    pool.copy_(updated)
    filled.copy_(count)
    return shown


def _refuse(facts: Facts, _options: ReplayOptions) -> str | None:
    if facts.model.conditional(facts.model_options):
        return "the pool keeps images without their classes"
    if facts.model.latent is not None and facts.model.latent(facts.model_options).categories:
        return "the pool keeps images without their codes"
    return None


REPLAY_BUFFER = Trick(
    name="replay-buffer",
    title="earlier fakes: a pool of 50, swapped in with probability 1/2",
    source="Shrivastava et al. 2017, section 2.3; Zhu et al. 2017 (CycleGAN), section 4",
    options=ReplayOptions,
    refuse=_refuse,
    state=_state,
    draws=_draws,
    memory=_memory,
)
