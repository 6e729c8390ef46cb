"""The definition of an anomaly detector: a row of the table, and the object that it makes.

    detector = row.make(DetectorSettings(seed=0))
    detector.fit(normal)                 uint8 N,H,W,C: normal images, no labels
    detector.scores(images)              float64 M, higher is more anomalous

A score depends on the image only, and not on the batch, the order or the other images. To add a
detector, write one file and one row in `bench.anomaly.detectors.DETECTORS`. A detector that trains
a network is in `baselines.detectors`, and its row comes through the entry-point group
`latentbench.detectors`. The table of properties in the tests needs a row, too.

Shape legend: N normal images, M scored images, H,W,C an image, D features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bench.errors import UnknownNameError, UsageError

Labels = Literal["none", "test", "outside", "data"]
SEEN: dict[Labels, str] = {  # in the words of the list of detectors
    "none": "",
    "test": "test labels",
    "outside": "what its features learnt from",
    "data": "labels of the data",
}
Option = float | int | str
Fitted = TypeVar("Fitted")


@dataclass(frozen=True, kw_only=True)
class DetectorSettings:
    """The choices of a caller. `device` is where networks run, and `extractor` the source of
    features for detectors on features. `options` are the detector's own, by name, as text or
    numbers. Only an oracle reads `oracle_images` and `oracle_labels` (1 is anomalous).
    """

    seed: int = 0
    device: str = "cpu"
    extractor: str = "digits"
    options: dict[str, float | int | str] = field(default_factory=dict)
    oracle_images: NDArray[np.uint8] | None = None
    oracle_labels: NDArray[np.int64] | None = None


class Detector(Protocol):
    """A detector, before and after its fit."""

    def fit(self, normal: NDArray[np.uint8]) -> None:
        """Learn what is normal. Raises `UsageError` for too few images, and `InputError` for
        unsuitable ones.
        """

    def scores(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return finite scores; higher is more anomalous."""


@runtime_checkable
class Reconstructing(Protocol):
    """A detector that can reconstruct an image from what it knows as normal."""

    def reconstructions(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return reconstructions, uint8 of the shape of `images`."""


@runtime_checkable
class OnFeatures(Protocol):
    """A detector on features, for callers that have computed them already."""

    def fit_features(self, normal: NDArray[np.float32]) -> None:
        """Fit to features, float32 N,D."""

    def scores_of_features(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the scores of features, float32 M,D."""


@runtime_checkable
class Telling(Protocol):
    """A detector that reports its options."""

    def settled(self) -> dict[str, Option]:
        """Return every option with the value that was used, including those that the fit chose."""


@runtime_checkable
class StackFitting(Protocol):
    """A detector that can be fitted to several normal sets as one program."""

    def fit_stack(self, others: Sequence[Detector], normals: Sequence[NDArray[np.uint8]]) -> None:
        """Fit this detector and the others, each to its own normal images."""


@dataclass(frozen=True, kw_only=True)
class DetectorRow:
    """One row of the table.

    `labels` says what the detector has seen besides normal images: "none"; "test" for an oracle
    that is tuned on the labels it is judged by; "outside" for features of a chosen extractor, whose
    training `bench.anomaly.detectors.seen` describes. `seeded`: the result depends on the seed.
    `trains`: it is a network, benefits from a GPU and takes the option `budget`, "published" or
    "cpu". `reads`: pixels, or features of an extractor. `at_least`: the smallest number of normal
    images. `square`: images must be square. `max_side_px`: the longest side it accepts.
    """

    name: str
    title: str
    source: str
    make: Callable[[DetectorSettings], Detector]
    reads: Literal["pixels", "features"] = "pixels"
    labels: Labels = "none"
    seeded: bool = False
    trains: bool = False
    at_least: int = 2
    square: bool = False
    max_side_px: int | None = None
    constants: dict[str, float | int | str] = field(default_factory=dict)


def require_normal(normal: NDArray[np.uint8], at_least: int, name: str) -> None:
    """Raise `UsageError` unless these are at least that many uint8 N,H,W,C images."""
    if normal.ndim != 4 or normal.dtype != np.uint8:
        raise UsageError(f"{name}: images are {normal.dtype} {normal.shape}, not uint8 N,H,W,C")
    if len(normal) < at_least:
        raise UsageError(f"{name} needs {at_least} or more normal images, got {len(normal)}")


def options_of(
    settings: DetectorSettings, name: str, defaults: Mapping[str, Option]
) -> dict[str, Option]:
    """Return a detector's options over their defaults, converted to the types of the defaults.
    Raises `UnknownNameError` for an option that it does not have, and `UsageError` for a value of
    another type.
    """
    options = dict(defaults)
    for key, value in settings.options.items():
        if key not in defaults:
            raise UnknownNameError(f"option of {name}", key, defaults)
        kind = type(defaults[key])
        try:
            options[key] = kind(value)
            whole = kind is not int or options[key] == float(value)
        except (ValueError, OverflowError, TypeError) as error:
            raise _no_value(name, key, value, defaults[key]) from error
        if not whole:
            raise _no_value(name, key, value, defaults[key])
    return options


def _no_value(name: str, key: str, value: object, default: Option) -> UsageError:
    kind = "a whole number" if isinstance(default, int) else "a number"
    return UsageError(f"{name}: {key} {value!r}: expected {kind}, such as {default}")


def require_range(
    name: str, option: str, value: float | int | str, low: float, high: float = math.inf
) -> None:
    """Raise `UsageError` unless the option is a finite number above `low` and at most `high`."""
    if isinstance(value, str) or not low < value <= high or value == math.inf:
        most = " and less than infinity" if high == math.inf else f" and at most {high:g}"
        raise UsageError(f"{name}: {option} {value}: expected more than {low:g}{most}")


def require_switch(name: str, option: str, value: Option) -> None:
    """Raise `UsageError` unless the option is 0 or 1."""
    if value not in (0, 1):
        raise UsageError(f"{name}: {option} {value}: expected 0 or 1")


def require_fitted(fitted: Fitted | None, name: str) -> Fitted:
    """Return the result of the fit. Raises `UsageError` before a fit."""
    if fitted is None:
        raise UsageError(f"{name}: give it normal images before others: fit(normal)")
    return fitted
