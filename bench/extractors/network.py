"""Run a network over images: batches, transfer and memory.

Every extractor that is a torch network is a `NetworkExtractor` around a `forward` function. On a
GPU, batches are copied from pinned memory, and results are copied back while the next batch is
queued, so that the device does not wait for Python. A batch that does not fit into memory is
halved and tried again; a row depends on its own image only, so the score stays the same.

Shape legend: N images, C channels, H W pixels, D features, K classes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.extractors.base import (
    is_out_of_memory,
    luma,
    not_enough_memory,
    require_images,
)
from bench.extractors.compiling import CompiledOncePaid
from bench.runtime.devices import strict_float32
from bench.runtime.progress import CountProgress
from bench.statistics.moments import Features

Outputs = tuple[Tensor, Tensor | None]
Forward = Callable[[Tensor], Outputs]


@dataclass
class NetworkExtractor:
    """A network as an `Extractor`; see the protocol for the meaning of its members.

    `forward` takes uint8 N,C,H,W on the device, C = `channels`, and returns float32 features N,D
    and, of a classifier, logits N,K, both on the device. `precision` is the context it runs in.
    `batch_size`, in images, is reduced permanently when memory runs out. A call raises `UsageError`
    when memory runs out for a single image. `first_batch_s` is the time of the first batch, which
    includes loading and tuning; `compiling` reports on compiling.
    """

    name: str
    digest: str
    device: str
    forward: Forward
    batch_size: int
    channels: Literal[1, 3] = 3
    side_px: int | None = None
    precision: Callable[[], AbstractContextManager[None]] = strict_float32
    first_batch_s: float | None = None
    compiling: CompiledOncePaid | None = None

    def __call__(
        self, images: NDArray[np.uint8], *, progress: CountProgress | None = None
    ) -> Features:
        return self.begin(images, progress=progress)()

    def begin(
        self, images: NDArray[np.uint8], *, progress: CountProgress | None = None
    ) -> Callable[[], Features]:
        """Queue all batches, and return a function that waits for the last one."""
        require_images(images, self.name, self.side_px)
        begun: list[_Pending] = []
        done, num_images = 0, len(images)  # the closure must not hold the images
        with torch.inference_mode(), self.precision():
            for pending in self._run(images):
                if begun:
                    done += len(begun[-1].result()[0])
                    if progress is not None:
                        progress(done, num_images)
                begun.append(pending)

        def finish() -> Features:
            collected = [pending.result() for pending in begun]
            if progress is not None:
                progress(num_images, num_images)
            values = torch.cat([features for features, _ in collected])
            logits = [scores for _, scores in collected if scores is not None]
            return Features(values.numpy(), torch.cat(logits).numpy() if logits else None)

        return finish

    def _run(self, images: NDArray[np.uint8]) -> Iterator[_Pending]:
        """Yield batch after batch, queued on the device."""
        start = 0
        while start < len(images):
            batch = images[start : start + self.batch_size]
            try:
                started = self._begin(batch)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                self._shrink(len(batch), error)
                continue
            start += len(batch)
            yield started

    def _begin(self, batch: NDArray[np.uint8]) -> _Pending:
        begun_s = time.perf_counter()
        started = _Pending(self.forward(self._to_device(batch)))
        if self.first_batch_s is None:
            started.result()
            self.first_batch_s = time.perf_counter() - begun_s
        return started

    def _shrink(self, tried: int, error: BaseException) -> None:
        if tried <= 1:
            raise not_enough_memory(self.name, self.device, "one image", error) from error
        self.batch_size = max(1, tried // 2)
        if self.compiling is not None:
            self.compiling.resize(self.batch_size)
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)  # raises here if the device itself has failed
            torch.cuda.empty_cache()

    def _to_device(self, images: NDArray[np.uint8]) -> Tensor:
        """Return uint8 n,C,H,W on the device, from n,H,W,c."""
        if self.channels == 1:
            images = luma(images)
        x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
        if self.device.startswith("cuda"):
            x = x.pin_memory().to(self.device, non_blocking=True)
        return x.expand(-1, self.channels, -1, -1)


class _Pending:
    """Outputs that are being copied to the CPU."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = tuple(_to_host(part) for part in outputs)
        self._event: torch.cuda.Event | None = None
        if outputs[0].is_cuda:
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            # copies run on the stream of their own device, which may not be the current device
            self._event.record(torch.cuda.current_stream(outputs[0].device))

    def result(self) -> Outputs:
        if self._event is not None:
            self._event.synchronize()
        features, logits = self._outputs
        assert features is not None  # noqa: S101  (a forward returns features)
        return features, logits


def _to_host(part: Tensor | None) -> Tensor | None:
    if part is None:
        return None
    part = part.float()
    if not part.is_cuda:
        return part
    host = torch.empty(part.shape, dtype=part.dtype, pin_memory=True)
    return host.copy_(part, non_blocking=True)
