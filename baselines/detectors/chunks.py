"""Scoring in chunks that are always full, so that a score depends on its image only.

The last image of an incomplete chunk is repeated: every product has one shape, whatever the number
of images. Networks run in eval mode, in float32 without TF32, and with deterministic convolutions
on a GPU.

Shape legend: N images, B images of a chunk, C,H,W an image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.sampling.trained import full_chunk
from bench.errors import LatentbenchError, UsageError
from bench.runtime.devices import strict_float32

CHUNK = 250
ImageSize = tuple[int, int, int]  # H, W, C


@contextmanager
def repeatable() -> Iterator[None]:
    """Use strict float32 and deterministic convolutions, as a context manager."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        with strict_float32():
            yield
    finally:
        torch.backends.cudnn.deterministic = before


def require_alike(images: NDArray[np.uint8], size: ImageSize | None, name: str) -> None:
    """Raise `UsageError` before a fit, and for images that are not uint8 M,H,W,C of `size`."""
    if size is None:
        raise UsageError(f"{name}: fit it to normal images first")
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) == 0:
        raise UsageError(f"{name}: images are {images.dtype} {images.shape}, not uint8 M,H,W,C")
    if images.shape[1:] != size:
        raise UsageError(f"{name}: images are of H,W,C {images.shape[1:]}, it was fitted to {size}")


def planar(images: NDArray[np.uint8]) -> Tensor:
    """Return uint8 N,H,W,C as a tensor N,C,H,W on the CPU."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def in_chunks(
    images: NDArray[np.uint8],
    compute: Callable[[Tensor], Tensor],
    *,
    device: str,
    size: int = CHUNK,
) -> Tensor:
    """Apply `compute` to full chunks uint8 B,C,H,W on the device, and return its rows, N,..., on
    the CPU.
    """
    x = planar(images)
    parts = []
    with repeatable():
        for start in range(0, len(x), size):
            rows = compute(full_chunk(x, start, size).to(device))
            parts.append(rows.cpu()[: len(x) - start])
    return torch.cat(parts)


def finite_scores(scores: Tensor, name: str) -> NDArray[np.float64]:
    """Return scores as float64. Raises `LatentbenchError` when one is not finite."""
    found = scores.double().numpy()
    bad = np.flatnonzero(~np.isfinite(found))
    if len(bad):
        raise LatentbenchError(
            f"{name}: the score of image {bad[0]} is not finite ({len(bad)} of {len(found)}); "
            "the network has diverged: choose a lower learning_rate"
        )
    return found
