"""How far a statistic of a folder is from that of real images of the same size.

A statistic has shifted if its mean over the folder differs from the reference's by a number of
standard deviations of single real images (an effect that no draw of real images shows) and by five
standard errors (which decides for small folders).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bench.content.evidence import Evidence

SIGMAS = 5.0


class _Limit(NamedTuple):
    effect: float  # in standard deviations of single real images
    least: float  # in the units of the statistic


LIMITS = {
    "sharpness": _Limit(0.75, 0.05),
    "noise": _Limit(0.75, 1.0),
    "specks": _Limit(0.75, 0.002),
    "lossy": _Limit(0.5, 0.02),
}


class Shift(NamedTuple):
    """Means of the folder and of real images. `direction` is -1 or 1 if they differ, else 0."""

    own: float
    real: float
    direction: int


def shift(evidence: Evidence, name: str) -> Shift | None:
    """Return the shift of one of `LIMITS`; None without a reference of the same size.

    A statistic that is undefined on either side has a shift of 0, 0 and direction 0.
    """
    facts, reference = evidence.facts, evidence.texture_reference
    if reference is None:
        return None
    values = facts.statistic(name)
    real, sd = reference.statistic(name)
    if not len(values) or not np.isfinite(real):
        return Shift(0.0, 0.0, 0)
    own = float(values.mean(dtype=np.float64))
    limit = LIMITS[name]
    error = reference.standard_error(sd, len(values))
    least = max(limit.effect * sd, limit.least, SIGMAS * error)
    return Shift(own, real, 0 if abs(own - real) < least else int(np.sign(own - real)))
