"""Random numbers of training, as a function of (seed, block of steps, name) only.

All draws of a block of steps are made at once, on the device. Each name has a generator seeded
with a digest of seed, block number and name. There is no generator state to save: a resumed run
draws the same numbers as an uninterrupted one. Switching a trick on changes no other draw, so that
ablations are paired, and run k of a stack draws the same numbers as a single run with its seed.
Since a step only reads these tensors, it is a deterministic function that a CUDA graph can capture
and `torch.func.vmap` can stack.

Importing this module loads no torch; the samplers do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BLOCK_STEPS = 16  # steps whose numbers are drawn together

Sampler: TypeAlias = "Callable[[torch.Generator, tuple[int, ...]], Tensor]"


class Draw(NamedTuple):
    """A tensor that every step draws: its shape and the function that samples it."""

    shape: tuple[int, ...]
    sampler: Sampler


def normal(generator: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    """Draw standard normal float32 numbers."""
    import torch

    return torch.randn(shape, generator=generator, device=generator.device)


def uniform(generator: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    """Draw float32 numbers uniform on [0, 1)."""
    import torch

    return torch.rand(shape, generator=generator, device=generator.device)


def integers(high: int) -> Sampler:
    """Return a sampler of uniform int64 numbers 0..high-1."""

    def sampler(generator: torch.Generator, shape: tuple[int, ...]) -> Tensor:
        import torch

        return torch.randint(high, shape, generator=generator, device=generator.device)

    return sampler


def derive_seed(*parts: object) -> int:
    """Return a seed of 63 bits from the SHA-256 digest of the parts' text.

    >>> derive_seed(0, "weights")
    133441691874178746
    """
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def draw_block(
    draws: Mapping[str, Draw], seed: int, block: int, device: str = "cpu"
) -> dict[str, Tensor]:
    """Return the draws of `BLOCK_STEPS` steps by name, each of shape BLOCK_STEPS, *shape.

    >>> draw_block({"coin": Draw((2,), uniform)}, seed=0, block=0)["coin"].shape
    torch.Size([16, 2])
    """
    import torch

    generator = torch.Generator(device)
    found = {}
    for name, (shape, sampler) in draws.items():
        generator.manual_seed(derive_seed(seed, block, name))
        found[name] = sampler(generator, (BLOCK_STEPS, *shape))
    return found
