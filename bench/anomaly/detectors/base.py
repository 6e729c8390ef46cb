"""What an anomaly detector is: a row that names how one is made, and the object that it makes.

    detector = row.make(DetectorSettings(seed=0))
    detector.fit(normal)                 uint8 N,H,W,C: images of the normal kind, no labels
    detector.scores(images)              float64 M, higher is more anomalous

A score depends on the image alone: not on the batch, the order or the other images. To add a
detector: one file, one row in `bench.anomaly.detectors.DETECTORS` (or, where it trains a network,
in
`baselines.detectors` and the entry-point group `latentbench.detectors`), and its row in the table
of properties of the tests.

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
    """What a caller chooses. `device` is where networks run; `extractor` names the features of the
    detectors on features; `options` are a detector's own, by name, as text or numbers;
    `oracle_images` and `oracle_labels` (1 anomalous) are read by an oracle alone.
    """

    seed: int = 0
    device: str = "cpu"
    extractor: str = "digits"
    options: dict[str, float | int | str] = field(default_factory=dict)
    oracle_images: NDArray[np.uint8] | None = None
    oracle_labels: NDArray[np.int64] | None = None


class Detector(Protocol):
    """One detector, before and after its fit."""

    def fit(self, normal: NDArray[np.uint8]) -> None:
        """Learn what is normal. Raises `UsageError` for too few images, `InputError` for others."""

    def scores(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Finite scores, higher more anomalous."""


@runtime_checkable
class Reconstructing(Protocol):
    """A detector that can bring an image back to what it knows as normal."""

    def reconstructions(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 of the shape of `images`."""


@runtime_checkable
class OnFeatures(Protocol):
    """A detector on features, for callers that have them already."""

    def fit_features(self, normal: NDArray[np.float32]) -> None:
        """As `fit`, of float32 N,D."""

    def scores_of_features(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """As `scores`, of float32 M,D."""


@runtime_checkable
class Telling(Protocol):
    """A detector that says how it was set."""

    def settled(self) -> dict[str, Option]:
        """Every option with the value that was used; after a fit, those that it chose too."""


@runtime_checkable
class StackFitting(Protocol):
    """A detector whose kind can be fitted to several normal sets as one program."""

    def fit_stack(self, others: Sequence[Detector], normals: Sequence[NDArray[np.uint8]]) -> None:
        """Fit this one and the others, each to its own normal images."""


@dataclass(frozen=True, kw_only=True)
class DetectorRow:
    """One row of the table.

    `labels` says what the detector has seen beside normal images: "none"; "test" for an oracle
    tuned on the labels it is judged by; "outside" for features of an extractor that is chosen:
    what that has seen is asked of `bench.anomaly.detectors.seen`. `seeded`: two seeds give two
    results.
    `trains`: a network, so that it wants a GPU and takes the option `budget`, "published" or
    "cpu". `reads`: pixels, or features of an extractor. `at_least`: the fewest normal images that
    it can be fitted to, with its own options. `square`: images must be; `max_side_px`: the longest
    side it takes.
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
    """Raises `UsageError` unless these are at least so many uint8 N,H,W,C images."""
    if normal.ndim != 4 or normal.dtype != np.uint8:
        raise UsageError(f"{name}: images are {normal.dtype} {normal.shape}, not uint8 N,H,W,C")
    if len(normal) < at_least:
        raise UsageError(f"{name} needs {at_least} or more normal images, got {len(normal)}")


def options_of(
    settings: DetectorSettings, name: str, defaults: Mapping[str, Option]
) -> dict[str, Option]:
    """A detector's own options over their defaults, as the types that these have. Raises
    `UnknownNameError` for one that it does not have, `UsageError` for one of another type.
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
    """Raises `UsageError` unless the option is a finite number above `low`, at most `high`."""
    if isinstance(value, str) or not low < value <= high or value == math.inf:
        most = " and less than infinity" if high == math.inf else f" and at most {high:g}"
        raise UsageError(f"{name}: {option} {value}: expected more than {low:g}{most}")


def require_switch(name: str, option: str, value: Option) -> None:
    """Raises `UsageError` unless the option is 0 or 1."""
    if value not in (0, 1):
        raise UsageError(f"{name}: {option} {value}: expected 0 or 1")


def require_fitted(fitted: Fitted | None, name: str) -> Fitted:
    """What a fit left. Raises `UsageError` before one."""
    if fitted is None:
        raise UsageError(f"{name}: give it normal images before others: fit(normal)")
    return fitted
