"""Detectors that do not keep their promises: options never looked at, scores that are none, errors.

A row may come from any package, so whatever its code does is told with the detector's name, and
does not take other detectors along.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.anomaly.detectors.base import DetectorSettings
from bench.errors import LatentbenchError, UsageError

LOOKS = frozenset({"options", "__dict__", "__getstate__"})  # of a copy and a pickle the last


class WatchedSettings(DetectorSettings):
    """Settings that know whether their options were looked at."""

    def __getattribute__(self, name: str) -> Any:
        if name in LOOKS:
            object.__setattr__(self, "were_read", True)
        return super().__getattribute__(name)

    def require_read(self, name: str) -> None:
        """After a fit. Raises `UsageError` for options that the detector never looked at."""
        found = object.__getattribute__(self, "__dict__")
        if found["options"] and not found.get("were_read"):
            given = ", ".join(found["options"])
            raise UsageError(f"detector {name!r} takes no options, got {given}; leave them out")


def checked_scores(name: str, scores: object, num: int) -> NDArray[np.float64]:
    """The scores as float64, if they are an array of `num` finite numbers. Raises
    `LatentbenchError`.
    """
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


def failure_of(error: Exception) -> str:
    """What a detector failed with, in one line: of an error of this project what it says, of any
    other its kind and the line of code as well.
    """
    if isinstance(error, LatentbenchError):
        return str(error)
    said = " ".join(str(error).split())
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else text


@contextmanager
def failures_named(name: str) -> Iterator[None]:
    """Raises whatever fails inside as a `LatentbenchError` that names the detector."""
    try:
        yield
    except LatentbenchError:
        raise
    except Exception as error:
        raise LatentbenchError(f"detector {name!r} failed: {failure_of(error)}") from error
