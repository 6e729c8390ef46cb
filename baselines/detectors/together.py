"""Detectors that are fitted together, each to a normal set of its own.

Shape legend: K detectors and normal sets, N images of a set, H,W,C an image.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.anomaly.detectors.base import Detector, require_normal
from bench.errors import UsageError

MIN_NORMAL = 2
Kind = TypeVar("Kind", bound=Detector)


def require_together(
    kind: type[Kind],
    detectors: Sequence[Detector],
    normals: Sequence[NDArray[np.uint8]],
    settled: Callable[[Kind], tuple[str, Hashable]],
) -> list[Kind]:
    """Return the K detectors, of one class. `settled` returns the row and the options of one.
    Raises `UsageError` when these differ, and unless there is one normal set for each.
    """
    if len(detectors) != len(normals):
        raise UsageError(f"{len(detectors)} detectors cannot be fitted to {len(normals)} sets")
    own = [each for each in detectors if isinstance(each, kind)]
    if len(own) < len(detectors) or len({settled(each) for each in own}) != 1:
        name, _ = settled(own[0])
        raise UsageError(
            f"{name}: only detectors of this row with the same options train as one stack"
        )
    return own


def require_sets(normals: Sequence[NDArray[np.uint8]], name: str) -> None:
    """Raise `UsageError` for a set of too few images, and for sizes that differ between sets."""
    for normal in normals:
        require_normal(normal, MIN_NORMAL, name)
    sizes = {normal.shape[1:] for normal in normals}
    if len(sizes) != 1:
        raise UsageError(f"{name}: normal sets of several sizes H,W,C: {sorted(sizes)}")


def set_name(name: str, number: int, count: int) -> str:
    """Return the name, for errors, of one of `count` trainings of a detector or a stage."""
    return name if count == 1 else f"{name}, normal set {number}"
