"""Images of almost only pure black and pure white."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.content.evidence import Evidence
from bench.content.finding import ContentFinding, Cost, Found, percent
from bench.content.statistics import BLACK, WHITE

SATURATED = 0.5  # of the reference's share of pixels between black and white, and of its ink
MIN_BETWEEN = 0.04  # share of pixels between black and white that a reference must have
ABSOLUTE_BETWEEN = 0.005  # without a reference, below this share a folder is saturated

BETWEEN = slice(BLACK + 1, WHITE)


def _check(evidence: Evidence) -> Found | None:
    facts, reference = evidence.facts, evidence.level_reference
    own = float(facts.grey_shares[BETWEEN].sum())
    found = f"{percent(own)} of the pixels are neither black nor white"
    if reference is None:
        reaches_both = (facts.lows <= BLACK) & (facts.highs >= WHITE)  # so not just blank images
        if own > ABSOLUTE_BETWEEN or not reaches_both.any():
            return None
        return Found(facts.num_images, found, {"between_share": own, "share_of_real": 0.0})
    real = float(reference.grey_shares[BETWEEN].sum())
    of_ink, real_of_ink = (_of_ink(x.grey_shares) for x in (facts, reference))
    if real < MIN_BETWEEN or own > SATURATED * real or of_ink > SATURATED * real_of_ink:
        return None
    return Found(
        facts.num_images,
        f"{found}, expected {percent(real)}",
        {"between_share": own, "reference_between_share": real, "share_of_real": own / real},
    )


def _of_ink(shares: NDArray[np.float64]) -> float:
    """Return the share below white of what is not black, which thin strokes change little."""
    return float(shares[BETWEEN].sum() / max(shares[BLACK + 1 :].sum(), 1e-9))


SATURATED_RANGE = ContentFinding(
    name="value-range-saturated",
    severity="warning",
    message="nearly all pixels are pure black or pure white",
    fix="The shades between carry the soft edges of real images. Save the generator's output "
    "itself, without a threshold and without raising its contrast.",
    check=_check,
    cost=Cost(((0.0, 20.0), (0.25, 10.0), (1.0, 0.0)), ("share_of_real",)),
    group="levels",
    unless=("levels", "undertrained"),
)
