"""Published figures of the one-class benchmark: AUC in percent, mean over ten classes and by class.

Protocol of Ruff et al. (ICML 2018): train on one class of the train split, AUC over the whole test
split with the other nine classes as anomalies. `rerun` figures were obtained by others with the
authors' method in PyTorch. A figure belongs to the detector of this project that has the same
method; None means that there is none, and the figure is a benchmark for all.
"""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """One figure. `detector` is the name of the detector of this project that it is compared "
    "with.
    """

    data: str
    method: str
    auc_percent: float
    source: str
    detector: str | None = None


class PublishedClasses(NamedTuple):
    """Figures of one method by normal class, from class 0 on, and the detector of this project with
    that method.
    """

    data: str
    method: str
    auc_percents: tuple[float, ...]
    source: str
    detector: str


RUFF = "Ruff et al. 2018"
RERUN = "Deep SVDD rerun in PyTorch by others"
PERERA, ARNET = "Perera et al. 2019 (OCGAN)", "Huang et al. 2019 (ARNet)"
QUOTED = "quoted in later comparisons"

PUBLISHED: tuple[Published, ...] = (
    Published("mnist", "OC-SVM", 91.3, RUFF, "oc-svm"),
    Published("mnist", "KDE", 86.9, RUFF, "kde-exponential"),
    Published("mnist", "isolation forest", 92.3, RUFF, "isolation-forest"),
    Published("mnist", "DCAE", 89.7, RUFF, "ae-conv"),
    Published("mnist", "AnoGAN", 91.3, RUFF, "anogan"),
    Published("mnist", "Deep SVDD, soft boundary", 93.5, RUFF, "deep-svdd-soft"),
    Published("mnist", "Deep SVDD, one class", 94.8, RUFF, "deep-svdd"),
    Published("mnist", "Deep SVDD, one class", 93.8, RERUN, "deep-svdd"),
    Published("mnist", "Deep SVDD, one class", 93.6, RERUN, "deep-svdd"),
    Published("mnist", "OC-SVM on AE features", 96.3, QUOTED, "ae-oc-svm"),
    Published("mnist", "OCGAN", 97.5, PERERA),
    Published("mnist", "GeoTrans", 98.0, ARNET, "geotrans"),
    Published("mnist", "ARNet", 98.3, ARNET),
    Published("fashion-mnist", "Deep SVDD", 89.2, QUOTED, "deep-svdd"),
    Published("fashion-mnist", "OC-SVM on AE features", 91.2, QUOTED, "ae-oc-svm"),
    Published("fashion-mnist", "GeoTrans", 93.5, ARNET, "geotrans"),
    Published("fashion-mnist", "ARNet", 93.9, ARNET),
)

PUBLISHED_CLASSES: tuple[PublishedClasses, ...] = (
    PublishedClasses(
        "mnist",
        "Deep SVDD, one class",
        (98.0, 99.7, 91.7, 91.9, 94.9, 88.5, 98.3, 94.6, 93.9, 96.5),
        RUFF,
        "deep-svdd",
    ),
)


def published_for(data: str, detector: str) -> tuple[Published, ...]:
    """Return the figures that a detector of this project is compared with."""
    return tuple(one for one in PUBLISHED if (one.data, one.detector) == (data, detector))


def classes_published_for(data: str, detector: str) -> tuple[PublishedClasses, ...]:
    """Return the figures by class that a detector of this project is compared with."""
    return tuple(one for one in PUBLISHED_CLASSES if (one.data, one.detector) == (data, detector))


def best_published(data: str) -> Published | None:
    """Return the highest figure of a data set, or None."""
    return max(
        (one for one in PUBLISHED if one.data == data),
        key=lambda one: one.auc_percent,
        default=None,
    )
