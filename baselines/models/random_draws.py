"""Random numbers of training, as a function of (seed, block of steps, name) alone.

The draws of a block of steps are made at once, on the device, each name from a generator seeded
with a digest of seed, block number and name. So there is no generator state to save: a resumed run
draws what the uninterrupted one would have; switching a trick on leaves every other draw as it
was (ablations are paired); and run k of a stack draws what the single run with its seed draws.
Every draw is a tensor that a step reads, so a step is a deterministic function that a CUDA graph
can capture and `torch.func.vmap` can stack.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

BLOCK_STEPS = 16  # steps whose numbers are drawn together

Sampler = Callable[[torch.Generator, tuple[int, ...]], Tensor]


class Draw(NamedTuple):
    """What one step draws under a name: a tensor of `shape` by `sampler`."""

    shape: tuple[int, ...]
    sampler: Sampler


def normal(generator: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    """Standard normal, float32."""
    return torch.randn(shape, generator=generator, device=generator.device)


def uniform(generator: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    """Uniform on [0, 1), float32."""
    return torch.rand(shape, generator=generator, device=generator.device)


def integers(high: int) -> Sampler:
    """Uniform integers 0..high-1, int64."""

    def sampler(generator: torch.Generator, shape: tuple[int, ...]) -> Tensor:
        return torch.randint(high, shape, generator=generator, device=generator.device)

    return sampler


def derive_seed(*parts: object) -> int:
    """A seed of 63 bits from SHA-256 of the parts' text."""
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def draw_block(
    draws: Mapping[str, Draw], seed: int, block: int, device: str = "cpu"
) -> dict[str, Tensor]:
    """The numbers of `BLOCK_STEPS` steps: name -> BLOCK_STEPS, *shape."""
    generator = torch.Generator(device)
    found = {}
    for name, (shape, sampler) in draws.items():
        generator.manual_seed(derive_seed(seed, block, name))
        found[name] = sampler(generator, (BLOCK_STEPS, *shape))
    return found
