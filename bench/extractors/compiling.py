"""A network that is compiled once that pays: not before the plain one has run as long as compiling
takes.

Compiling costs seconds before it saves any, and how many images will come is not known where they
stream. Rent the plain network until as much was spent on it as compiling costs, then buy: never
more than twice what the best choice in hindsight would have cost (the ski rental bound of Karlin
et al., Algorithmica 1988), and a small folder pays nothing.

Only whole batches run compiled: a smaller last one would be compiled anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

COMPILE_COST_S = 23.0  # measured once for InceptionV3 on an H200 with torch 2.11


class CompiledOncePaid:
    """Calls `network` on batches of `batch_size` images, compiled after `cost_s` seconds of plain
    running. `compile_s` is what the compilation took with its first batch, None before.
    """

    def __init__(
        self, network: Callable[..., Any], batch_size: int, *, cost_s: float = COMPILE_COST_S
    ) -> None:
        self._plain, self._batch_size, self._cost_s = network, batch_size, cost_s
        self._compiled: Callable[..., Any] | None = None
        self._begun_s: float | None = None  # the end of the first batch, which loads and tunes
        self.compile_s: float | None = None

    def __call__(self, x: Tensor, *options: Any) -> Any:
        now_s = time.perf_counter()
        if len(x) != self._batch_size:
            return self._plain(x, *options)
        if self._compiled is not None:
            return self._compiled(x, *options)
        if self._begun_s is None:
            outputs = self._plain(x, *options)
            self._begun_s = time.perf_counter()
            return outputs
        if now_s - self._begun_s < self._cost_s:  # the pace of the caller, who waits for results
            return self._plain(x, *options)
        self._compiled = torch.compile(self._plain)
        outputs = self._compiled(x, *options)
        if x.is_cuda:
            torch.cuda.synchronize(x.device)
        self.compile_s = time.perf_counter() - now_s
        return outputs
