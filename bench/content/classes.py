"""Classes of a folder against those of real images, as one and the same classifier sees them.

Shape legend: K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, pdtr

from bench.content.codes import content_finding
from bench.records.score_record import FindingEntry

F64 = NDArray[np.float64]

MAX_CLASSES = 100  # of more, as of ImageNet, shares are too small to speak of
SIGNIFICANCE = 1e-4  # of the chi-square test of all shares, and of a missing class
DIFFERENCE = 0.3  # a class is named when its share is off by so much of the expected one
SIGMAS = 4.0  # and by so many standard errors
MISSING = 0.1  # of the expected share; as for the modes covered
MAX_NAMED = 3

# What the classes of an extractor are called, in the plural.
CLASS_NAMES: dict[str, tuple[str, ...]] = {
    "digits": (
        "zeros", "ones", "twos", "threes", "fours", "fives", "sixes", "sevens", "eights", "nines",
    ),
    "fashion": (
        "T-shirts", "trousers", "pullovers", "dresses", "coats", "sandals", "shirts", "sneakers",
        "bags", "ankle boots",
    ),
}  # fmt: skip


def class_findings(
    shares: F64, expected: F64, num_images: int, names: Sequence[str] | None = None
) -> list[FindingEntry]:
    """Missing classes, and classes whose share is far off. `shares` and `expected` float64 K, each
    summing to 1; nothing when they are of different classifiers or of too many classes.
    """
    if shares.shape != expected.shape or not 2 <= len(shares) <= MAX_CLASSES:
        return []
    if names is None or len(names) != len(shares):
        names = [f"class {k}" for k in range(len(shares))]
    found = []
    missing = _missing(shares, expected, num_images)
    if len(missing):
        found.append(_missing_finding(missing, shares, expected, num_images, names))
    off = _far_off(shares, expected, num_images)
    off = off[~np.isin(off, missing)]
    if len(off):
        found.append(_imbalance_finding(off, shares, expected, num_images, names))
    return found


def _missing(shares: F64, expected: F64, num_images: int) -> NDArray[np.int64]:
    chance = pdtr(np.rint(shares * num_images), expected * num_images)
    rare = (chance < SIGNIFICANCE / len(shares)) & (shares < MISSING * expected)
    return np.flatnonzero(rare)


def _far_off(shares: F64, expected: F64, num_images: int) -> NDArray[np.int64]:
    """Classes that are off by much, most first, if the shares differ by more than chance."""
    there = expected > 0
    statistic = (num_images * (shares - expected)[there] ** 2 / expected[there]).sum()
    if chdtrc(int(there.sum()) - 1, statistic) > SIGNIFICANCE:
        return np.empty(0, np.int64)
    error = np.sqrt(np.maximum(expected * (1 - expected), 1 / num_images) / num_images)
    off = np.abs(shares - expected)
    rows = np.flatnonzero((off > DIFFERENCE * expected) & (off > SIGMAS * error))
    return rows[np.argsort(-off[rows], kind="stable")]


def _missing_finding(
    missing: NDArray[np.int64], shares: F64, expected: F64, num_images: int, names: Sequence[str]
) -> FindingEntry:
    parts = [
        f"{names[k]} ({round(shares[k] * num_images):,} images, expected "
        f"{round(expected[k] * num_images):,})"
        for k in missing.tolist()
    ]
    figures = {"missing": float(len(missing)), "classes": float(len(shares))}
    figures |= {f"share_{k}": float(shares[k]) for k in missing.tolist()}
    return content_finding("missing-classes", len(missing), ", ".join(parts), figures)


def _imbalance_finding(
    off: NDArray[np.int64], shares: F64, expected: F64, num_images: int, names: Sequence[str]
) -> FindingEntry:
    named = off[:MAX_NAMED].tolist()
    parts = [
        f"{100 * shares[k]:.0f} % of the images are {names[k]}, expected {100 * expected[k]:.0f} %"
        for k in named
    ]
    if len(off) > MAX_NAMED:
        parts.append(f"and {len(off) - MAX_NAMED} classes more")
    figures = {"classes_off": float(len(off))}
    for k in off.tolist():
        figures |= {f"share_{k}": float(shares[k]), f"expected_{k}": float(expected[k])}
    apart = float(np.abs(shares - expected).sum() / 2)
    figures["total_variation"] = apart
    return content_finding("class-imbalance", round(apart * num_images), "; ".join(parts), figures)
