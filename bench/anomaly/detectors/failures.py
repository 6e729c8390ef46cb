"""Detectors that break the protocol: unused options, invalid scores, exceptions.

A row may come from any package. Whatever its code does is reported with the name of the detector,
and the other detectors continue.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.anomaly.detectors.base import DetectorSettings
from bench.errors import LatentbenchError, UsageError
from bench.runtime.failures import failure_line

LOOKS = frozenset({"options", "__dict__", "__getstate__"})  # of a copy and a pickle the last


class WatchedSettings(DetectorSettings):
    """Settings that record whether their options were read."""

    def __getattribute__(self, name: str) -> Any:
        if name in LOOKS:
            object.__setattr__(self, "were_read", True)
        return super().__getattribute__(name)

    def require_read(self, name: str) -> None:
        """Raise `UsageError`, after a fit, for options that the detector never read."""
        found = object.__getattribute__(self, "__dict__")
        if found["options"] and not found.get("were_read"):
            given = ", ".join(found["options"])
            raise UsageError(f"detector {name!r} takes no options, got {given}; leave them out")


def checked_scores(name: str, scores: object, num: int) -> NDArray[np.float64]:
    """Return the scores as float64. Raises `LatentbenchError` without `num` finite ones."""
    expected = f"expected {num:,} numbers, a float64 array with one for each image"
    if not isinstance(scores, np.ndarray) or scores.dtype.kind not in "iuf":
        kind = getattr(scores, "dtype", type(scores).__name__)
        raise LatentbenchError(f"detector {name!r} gave scores of type {kind}; {expected}")
    if scores.shape != (num,):
        raise LatentbenchError(f"detector {name!r} gave scores of shape {scores.shape}; {expected}")
    bad = int((~np.isfinite(scores)).sum())
    if bad:
        raise LatentbenchError(
            f"detector {name!r}: {bad:,} of {num:,} scores are not finite, which no image can be "
            "ranked by; change its options or its code, or leave it out"
        )
    return scores.astype(np.float64, copy=False)


@contextmanager
def failures_named(name: str) -> Iterator[None]:
    """Raise any exception of the block as a `LatentbenchError` that names the detector."""
    try:
        yield
    except LatentbenchError:
        raise
    except Exception as error:
        raise LatentbenchError(f"detector {name!r} failed: {failure_line(error)}") from error
