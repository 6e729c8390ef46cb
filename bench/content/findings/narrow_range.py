"""Images that use only a part of the grey levels that real images use."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.content.evidence import Evidence
from bench.content.finding import ContentFinding, Cost, Found

NARROW = 0.85  # of the range of the reference
TAIL = 0.002  # of the pixels at either end of a range are ignored


def _check(evidence: Evidence) -> Found | None:
    facts, reference = evidence.facts, evidence.level_reference
    if reference is None:
        return None
    (low, high), (real_low, real_high) = _range(facts.grey_shares), _range(reference.grey_shares)
    if high - low > NARROW * (real_high - real_low):
        return None
    return Found(
        facts.num_images,
        f"levels {low} to {high}, expected {real_low} to {real_high}",
        {"low": low, "high": high, "reference_low": real_low, "reference_high": real_high},
    )


def _range(shares: NDArray[np.float64]) -> tuple[int, int]:
    """Return the levels between which all but the outermost 0.2 % on each side lie."""
    cumulative = np.cumsum(shares)
    return int((cumulative > TAIL).argmax()), int((cumulative >= 1 - TAIL).argmax())


NARROW_RANGE = ContentFinding(
    name="value-range-narrow",
    severity="warning",
    message="the images use only a part of the grey levels",
    fix="Flat contrast moves every feature away from those of real images. Bring the generator's "
    "output to 0..255 before saving: (x + 1) * 127.5 for tanh, x * 255 for a sigmoid; then round, "
    "clip and convert to uint8.",
    check=_check,
    cost=Cost(
        ((0.0, 0.0), (51.0, 26.0), (102.0, 105.0), (153.0, 245.0)), ("high", "reference_high")
    ),
    unless=("levels", "undertrained"),  # not of the first group: the texture stays comparable
)
