"""The table of anomaly detectors: those of this package, and those of the entry-point group
`latentbench.detectors`, each of which names a `DetectorRow`.
"""

from __future__ import annotations

from functools import cache
from importlib import metadata
from typing import NamedTuple

from bench.anomaly.detectors.base import Detector, DetectorRow, DetectorSettings
from bench.anomaly.detectors.isolation_forest import ISOLATION_FOREST
from bench.anomaly.detectors.kde import KDE, KDE_EXPONENTIAL
from bench.anomaly.detectors.knn import KNN_FEATURES, KNN_HOG, KNN_PIXELS
from bench.anomaly.detectors.mahalanobis import (
    MAHALANOBIS_FEATURES,
    MAHALANOBIS_HOG,
    MAHALANOBIS_PIXELS,
)
from bench.anomaly.detectors.one_class_svm import OC_SVM, OC_SVM_ORACLE
from bench.anomaly.detectors.pca import PCA
from bench.errors import LatentbenchError, UnknownNameError

__all__ = [
    "DETECTORS",
    "Detector",
    "DetectorRow",
    "DetectorSettings",
    "Loadable",
    "Unloadable",
    "all_detectors",
    "detector",
    "loadable_detectors",
]

GROUP = "latentbench.detectors"
_ROWS: tuple[DetectorRow, ...] = (
    KNN_PIXELS,
    KNN_HOG,
    KNN_FEATURES,
    MAHALANOBIS_PIXELS,
    MAHALANOBIS_HOG,
    MAHALANOBIS_FEATURES,
    PCA,
    KDE,
    KDE_EXPONENTIAL,
    ISOLATION_FOREST,
    OC_SVM,
    OC_SVM_ORACLE,
)
DETECTORS: dict[str, DetectorRow] = {row.name: row for row in _ROWS}
if len(DETECTORS) != len(_ROWS):
    raise ValueError("two detectors of one name")


@cache
def _from_entry_points() -> dict[str, metadata.EntryPoint]:
    return {entry.name: entry for entry in metadata.entry_points(group=GROUP)}


def all_detectors() -> tuple[str, ...]:
    """Names of every detector, this package's first."""
    return (*DETECTORS, *sorted(set(_from_entry_points()) - set(DETECTORS)))


def detector(name: str) -> DetectorRow:
    """The row of a name. Raises `UnknownNameError`, and `LatentbenchError` for an entry point that
    does not lead to a row.
    """
    if name in DETECTORS:
        return DETECTORS[name]
    entry = _from_entry_points().get(name)
    if entry is None:
        raise UnknownNameError("detector", name, all_detectors())
    package = "the package that brings it" if entry.dist is None else f"package {entry.dist.name}"
    remedy = f"mend or uninstall {package}"
    try:
        row = entry.load()
    except Exception as error:  # whatever a module does when it is imported
        raise LatentbenchError(
            f"detector {name!r}: {entry.value} cannot be loaded: {type(error).__name__}: {error}; "
            f"{remedy}"
        ) from error
    if not isinstance(row, DetectorRow) or row.name != name:
        raise LatentbenchError(
            f"detector {name!r}: {entry.value} is no DetectorRow of that name; {remedy}"
        )
    return row


class Unloadable(NamedTuple):
    """An entry point that does not lead to a row, and why."""

    name: str
    reason: str


class Loadable(NamedTuple):
    """The rows that can be loaded, in the order of `all_detectors`, and the names of the others."""

    rows: tuple[DetectorRow, ...]
    broken: tuple[Unloadable, ...]


def loadable_detectors() -> Loadable:
    """Every detector that can be loaded; one broken package leaves the others usable."""
    rows: list[DetectorRow] = []
    broken: list[Unloadable] = []
    for name in all_detectors():
        try:
            rows.append(detector(name))
        except LatentbenchError as error:
            broken.append(Unloadable(name, str(error)))
    return Loadable(tuple(rows), tuple(broken))
