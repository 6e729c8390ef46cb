"""Sharpness, noise and traces of JPEG of a folder against those of real images of its size.

A statistic is off when its mean over the folder differs from the reference's by so many standard
deviations of single real images (an effect that no draw of real images shows) and by five
standard errors (which matters for small folders).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bench.content.codes import content_finding
from bench.content.facts import ContentFacts
from bench.content.reference import ReferenceContent
from bench.records.score_record import FindingEntry

SIGMAS = 5.0
MAX_LOSSY_NOISE = 5.0  # grey levels of noise that JPEG alone may leave


class _Limit(NamedTuple):
    """An effect in standard deviations of real images, and the least in the statistic's units."""

    effect: float
    least: float


LIMITS = {
    "sharpness": _Limit(0.75, 0.05),
    "noise": _Limit(0.75, 1.0),
    "specks": _Limit(0.75, 0.002),
    "lossy": _Limit(0.5, 0.02),
}


class _Shift(NamedTuple):
    """Means of the folder and of real images, and whether they are apart: -1, 0 or 1."""

    own: float
    real: float
    apart: int


def texture_findings(
    facts: ContentFacts, reference: ReferenceContent, *, levels_changed: bool
) -> list[FindingEntry]:
    """Lossy origin; noise, unless JPEG explains it; blur or too much detail, unless noise or
    changed levels explain it.
    """
    sharpness, noise, specks, lossy = (_shift(facts, reference, name) for name in LIMITS)
    n = facts.num_images
    found = []
    if lossy.apart > 0:
        found.append(
            content_finding(
                "lossy-origin",
                n,
                f"{100 * (lossy.own - lossy.real):.0f} % more of the fine coefficients vanish on "
                "JPEG's grid of 8x8 blocks than on other grids",
                {"lossy": lossy.own, "reference_lossy": lossy.real},
            )
        )
    jpeg = lossy.apart > 0 and noise.own - noise.real < MAX_LOSSY_NOISE
    is_noisy = (noise.apart > 0 and not jpeg) or specks.apart > 0
    if is_noisy:
        parts = [f"noise of {noise.own:.1f} grey levels where {noise.real:.1f} are expected"]
        if specks.apart > 0:
            parts.append(
                f"{100 * specks.own:.1f} % of the pixels stand out from all of their neighbours, "
                f"expected {100 * specks.real:.1f} %"
            )
        figures = {
            "noise": noise.own,
            "reference_noise": noise.real,
            "specks": specks.own,
            "reference_specks": specks.real,
        }
        found.append(content_finding("noisy", n, "; ".join(parts), figures))
    if sharpness.apart and not levels_changed and not (is_noisy and sharpness.apart > 0):
        detail = (
            f"fine detail has {100 * np.exp(sharpness.own - sharpness.real):.0f} % of the energy "
            "that it has in real images"
        )
        code = "blurred" if sharpness.apart < 0 else "oversharp"
        figures = {"sharpness": sharpness.own, "reference_sharpness": sharpness.real}
        found.append(content_finding(code, n, detail, figures))
    return found


def _shift(facts: ContentFacts, reference: ReferenceContent, name: str) -> _Shift:
    values = facts.statistic(name)
    real, sd = reference.statistic(name)
    if not len(values) or not np.isfinite(real):
        return _Shift(0.0, 0.0, 0)
    own = float(values.mean(dtype=np.float64))
    limit = LIMITS[name]
    error = reference.standard_error(sd, len(values))
    least = max(limit.effect * sd, limit.least, SIGMAS * error)
    return _Shift(own, real, 0 if abs(own - real) < least else int(np.sign(own - real)))
