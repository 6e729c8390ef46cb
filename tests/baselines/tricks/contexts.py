"""Step contexts for hooks, built by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from baselines.models.base import DiscriminatorOutput
from baselines.recipes.config import ActiveTrick, make_config
from baselines.tricks import TRICKS
from baselines.tricks.base import JudgedBatch, Net, Player, StepContext


class Linear(nn.Module):
    """A discriminator whose logit is w . x, so that its gradient at every image is w."""

    def __init__(self, w: Tensor) -> None:
        super().__init__()
        self.w = nn.Parameter(w)

    def forward(
        self, x: Tensor, y: Tensor | None = None, keep: Tensor | None = None
    ) -> DiscriminatorOutput:
        return DiscriminatorOutput(x.flatten(1) @ self.w, x.flatten(1))


def net(module: nn.Module) -> Net:
    return Net(module, dict(module.named_parameters()), dict(module.named_buffers()))


def context(
    player: Player = "discriminator",
    *,
    draws: Mapping[str, Tensor] | None = None,
    state: Mapping[str, Tensor] | None = None,
    progress: float = 0.0,
    discriminator: nn.Module | None = None,
    generator: nn.Module | None = None,
) -> StepContext:
    return StepContext(
        player=player,
        draws=draws or {},
        state=state or {},
        progress=torch.tensor(progress),
        generator=net(generator or nn.Identity()),
        discriminator=net(discriminator or nn.Identity()),
    )


def judged(images: Tensor, discriminator: nn.Module) -> JudgedBatch:
    return JudgedBatch(images, None, discriminator(images))


def active(name: str, **options: Any) -> ActiveTrick:
    """Return a trick's row and its options, parsed as those of a recipe."""
    config = make_config({"recipe": "test", "model": "dense-gan", "tricks": {name: options}})
    return next(found for found in config.active if found.trick is TRICKS[name])
