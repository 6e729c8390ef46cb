"""Replay buffer: the discriminator also sees images that the generator made earlier.

While the pool of 50 images fills, each new image is stored and passed on. Once it is full, each new
image is swapped with a random image of the pool with probability 1/2.

Shape legend: B images of a batch, P images of the pool, C,H,W an image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from baselines.models.base import Options
from baselines.models.random_draws import Draw, integers, uniform
from baselines.tricks.base import Player, RunFacts, Sizes, StepContext, Trick

if TYPE_CHECKING:
    from torch import Tensor, nn


class ReplayOptions(Options):
    """`pool_size` images are stored; `probability` is that of a swap."""

    pool_size: int = Field(50, ge=1)
    probability: float = Field(0.5, ge=0, le=1)


def _state(
    _networks: dict[str, nn.Module], sizes: Sizes, options: ReplayOptions
) -> dict[str, Tensor]:
    import torch

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
    """Return the images for the discriminator, the new pool and the new number of filled places.

    `fake` B,C,H,W; `pool` P,C,H,W; `filled` int64; `swap` bool B; `place` int64 B. The first images
    go into empty places and are passed on unchanged. All swaps of a batch read the pool as it was
    before the batch; if two images chose the same place, the later one stays there.
    """
    import torch

    size, num = pool.shape[0], fake.shape[0]
    order = torch.arange(num, device=fake.device)
    stored = order < size - filled  # these images fill empty places
    swapped = swap & ~stored & (filled >= size)
    shape = (num, *(1,) * (fake.dim() - 1))
    shown = torch.where(swapped.view(shape), pool.index_select(0, place), fake)
    target = torch.where(stored, (filled + order).clamp_max(size - 1), place)
    # Of the images that go to a place, the last one wins: the one with the largest order.
    goes = (stored | swapped)[:, None] & (target[:, None] == torch.arange(size, device=fake.device))
    winner = torch.where(goes, order[:, None], -1).amax(0)  # P
    updated = torch.where(
        (winner >= 0).view(size, *shape[1:]), fake.index_select(0, winner.clamp_min(0)), pool
    )
    return shown, updated, (filled + num).clamp_max(size)


def _memory(fake: Tensor, context: StepContext, options: ReplayOptions) -> Tensor:
    pool, filled = context.state["replay-buffer/pool"], context.state["replay-buffer/filled"]
    swap = context.draws["replay-buffer/coin"] < options.probability
    shown, updated, count = exchange(fake, pool, filled, swap, context.draws["replay-buffer/place"])
    pool.copy_(updated)
    filled.copy_(count)
    return shown


def _refuse(facts: RunFacts, _options: ReplayOptions) -> str | None:
    if facts.model.conditional(facts.model_options):
        return "the pool stores images without their classes"
    if facts.model.latent is not None and facts.model.latent(facts.model_options).categories:
        return "the pool stores images without their codes"
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
