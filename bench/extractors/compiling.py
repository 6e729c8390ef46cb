"""A network that is compiled when that pays: after it has run uncompiled for as long as compiling
takes.

Compiling takes seconds before it saves any, and in a stream the number of images is not known. This
is the ski rental problem: "rent" the plain network until that has cost as much as compiling, then
"buy". The total cost is at most twice that of the best choice in hindsight (Karlin et al.,
Algorithmica 1988), and a small folder pays nothing. The cost counted is the computing time of the
device, which does not grow while it waits for images.

Only full batches run compiled, since a smaller last batch would be compiled again. If compiling
fails, for example without a C compiler, the plain network is used.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.extractors.base import is_out_of_memory

COMPILE_COST_S = 23.0  # measured once for InceptionV3 on an H200 with torch 2.11


class CompiledOncePaid:
    """Calls `network` on batches of `batch_size` images, compiled after `cost_s` seconds of
    running uncompiled.

    `compile_s` is the time of compiling with its first batch, or until it failed; None before.
    `failure` is the reason of a failure in one line.
    """

    def __init__(
        self, network: Callable[..., Any], batch_size: int, *, cost_s: float = COMPILE_COST_S
    ) -> None:
        self._plain, self._batch_size, self._cost_s = network, batch_size, cost_s
        self._compiled: Callable[..., Any] | None = None
        self._paid = _Paid()
        self._has_run = False  # the first batch loads and tunes, and does not count
        self.compile_s: float | None = None
        self.failure: str | None = None

    def resize(self, batch_size: int) -> None:
        """Change the size of batches. The compiled form of the old size is discarded, and that of
        the new one has to pay again.
        """
        self._batch_size = batch_size
        self._compiled, self._paid, self._has_run = None, _Paid(), False

    def __call__(self, x: Tensor, *options: Any) -> Any:
        if len(x) != self._batch_size or self.failure is not None:
            return self._plain(x, *options)
        if self._compiled is not None:
            return self._run_compiled(self._compiled, x, *options)
        if not self._has_run:
            outputs = self._plain(x, *options)
            self._has_run = True
            return outputs
        if self._paid.seconds() < self._cost_s:
            return self._paid.run(self._plain, x, *options)
        return self._compile(x, *options)

    def _compile(self, x: Tensor, *options: Any) -> Any:
        begun_s = time.perf_counter()
        compiled = torch.compile(self._plain, dynamic=False)
        try:
            outputs = self._run_compiled(compiled, x, *options)
            if x.is_cuda:
                torch.cuda.synchronize(x.device)
        finally:
            self.compile_s = (self.compile_s or 0.0) + time.perf_counter() - begun_s
        self._compiled = compiled
        return outputs

    def _run_compiled(self, compiled: Callable[..., Any], x: Tensor, *options: Any) -> Any:
        from torch._dynamo.exc import TorchDynamoException  # noqa: PLC0415  (slow to import)

        try:
            return compiled(x, *options)
        except TorchDynamoException as error:
            if is_out_of_memory(error):
                raise
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            self.failure = (lines[0] if lines else type(error).__name__)[:300]
        return self._plain(x, *options)


class _Paid:
    """The time that calls took. A GPU computes after a call returns, so its own clock is used."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._running: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def run(self, network: Callable[..., Any], x: Tensor, *options: Any) -> Any:
        if not x.is_cuda:
            begun_s = time.perf_counter()
            outputs = network(x, *options)
            self._seconds += time.perf_counter() - begun_s
            return outputs
        stream = torch.cuda.current_stream(x.device)
        event: Callable[..., torch.cuda.Event] = torch.cuda.Event
        begin, end = event(enable_timing=True), event(enable_timing=True)
        begin.record(stream)
        outputs = network(x, *options)
        end.record(stream)
        self._running.append((begin, end))
        return outputs

    def seconds(self) -> float:
        """Return the time of all calls that have ended, without waiting for others."""
        while self._running and self._running[0][1].query():  # type: ignore[no-untyped-call]
            begin, end = self._running.pop(0)
            self._seconds += begin.elapsed_time(end) / 1e3
        return self._seconds
