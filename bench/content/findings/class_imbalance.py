"""Classes that occur much more or much less often than in the data, though they do occur."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.content.classes import ClassShares
from bench.content.evidence import Evidence
from bench.content.finding import ContentFinding, Cost, Found
from bench.content.findings.missing_classes import UNRECOGNISABLE, missing_rows

SIGNIFICANCE = 1e-4  # of the chi-square test of all shares
DIFFERENCE = 0.3  # of the expected share, from which on a class is named
SIGMAS = 4.0  # standard errors that its share must differ by as well
MAX_NAMED = 3


def class_imbalance(classes: ClassShares) -> Found | None:
    """Return the finding about uneven shares, or None if they are those of the data."""
    shares, expected, num_images, names = classes
    off = _far_off(classes)
    off = off[~np.isin(off, missing_rows(classes))]
    if not len(off):
        return None
    parts = [
        f"{100 * shares[k]:.0f} % of the images are {names[k]}, expected {100 * expected[k]:.0f} %"
        for k in off[:MAX_NAMED].tolist()
    ]
    if len(off) > MAX_NAMED:
        more = [
            f"{names[k]} {100 * shares[k]:.0f} % ({100 * expected[k]:.0f} %)"
            for k in off[MAX_NAMED:].tolist()
        ]
        parts.append("also " + ", ".join(more))
    figures = {"classes_off": float(len(off))}
    for k in off.tolist():
        figures |= {f"share_{k}": float(shares[k]), f"expected_{k}": float(expected[k])}
    distance = float(np.abs(shares - expected).sum() / 2)
    figures["total_variation"] = distance
    return Found(round(distance * num_images), "; ".join(parts), figures)


def _far_off(classes: ClassShares) -> NDArray[np.int64]:
    """Return the classes whose share is far off, the farthest first, if chance is ruled out."""
    from scipy.special import chdtrc

    shares, expected, num_images, _ = classes
    occurs = expected > 0
    statistic = (num_images * (shares - expected)[occurs] ** 2 / expected[occurs]).sum()
    if chdtrc(int(occurs.sum()) - 1, statistic) > SIGNIFICANCE:
        return np.empty(0, np.int64)
    error = np.sqrt(np.maximum(expected * (1 - expected), 1 / num_images) / num_images)
    off = np.abs(shares - expected)
    rows = np.flatnonzero((off > DIFFERENCE * expected) & (off > SIGMAS * error))
    return rows[np.argsort(-off[rows], kind="stable")]


def _check(evidence: Evidence) -> Found | None:
    return None if evidence.classes is None else class_imbalance(evidence.classes)


CLASS_IMBALANCE = ContentFinding(
    name="class-imbalance",
    severity="warning",
    message="classes occur much more or much less often than in the data",
    fix="Too many images of one kind raise the FID and lower recall. Compare the shares with those "
    "at earlier checkpoints, and take one from before they drift apart.",
    check=_check,
    cost=Cost(((0.0, 0.0), (0.14, 8.5), (0.29, 29.0)), ("total_variation",)),
    group="classes",
    unless=UNRECOGNISABLE,
)
