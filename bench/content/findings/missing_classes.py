"""Classes of the data that the folder lacks, beyond what chance explains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.content.classes import ClassShares
from bench.content.evidence import Evidence
from bench.content.finding import ContentFinding, Cost, Found

SIGNIFICANCE = 1e-4  # of a binomial count so low, divided by the number of classes
# Findings about images that a classifier cannot recognise, whatever they show.
UNRECOGNISABLE = (
    "value-range-unit",
    "value-range-wrapped",
    "value-range-twice",
    "inverted-polarity",
)
MISSING = 0.1  # of the expected share; the same limit as for the metric of covered modes


def missing_rows(classes: ClassShares) -> NDArray[np.int64]:
    """Return the classes whose count is below a tenth of the expected one, and not by chance."""
    from scipy.special import pdtr

    shares, expected, num_images, _ = classes
    chance = pdtr(np.rint(shares * num_images), expected * num_images)
    rare = (chance < SIGNIFICANCE / len(shares)) & (shares < MISSING * expected)
    return np.flatnonzero(rare)


def missing_classes(classes: ClassShares) -> Found | None:
    """Return the finding about missing classes, or None if every class occurs."""
    shares, expected, num_images, names = classes
    missing = missing_rows(classes).tolist()
    if not missing:
        return None
    parts = [
        f"{names[k]} ({round(shares[k] * num_images):,} images, expected "
        f"{round(expected[k] * num_images):,})"
        for k in missing
    ]
    figures = {"missing": float(len(missing)), "classes": float(len(shares))}
    figures["missing_share"] = len(missing) / len(shares)
    figures |= {f"share_{k}": float(shares[k]) for k in missing}
    return Found(len(missing), ", ".join(parts), figures)


def _check(evidence: Evidence) -> Found | None:
    return None if evidence.classes is None else missing_classes(evidence.classes)


MISSING_CLASSES = ContentFinding(
    name="missing-classes",
    severity="warning",
    message="classes are missing",
    fix="The generator has dropped these modes, and recall falls. Look at samples of earlier "
    "checkpoints, and take one from before they disappeared.",
    check=_check,
    cost=Cost(((0.0, 0.0), (0.1, 7.0), (0.2, 15.0), (0.5, 38.0)), ("missing_share",)),
    group="classes",
    unless=UNRECOGNISABLE,
)
