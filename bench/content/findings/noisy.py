"""Noise in flat parts of the images, and specks."""

from __future__ import annotations

from bench.content.evidence import Evidence
from bench.content.finding import ContentFinding, Cost, Found
from bench.content.findings.saving_mistakes import WRAPPED, saving_mistake
from bench.content.shifts import shift

SPECK_SD = 900.0  # sd of the noise that costs as much FID as specks in all pixels, by its trend
MAX_ZEROS = 0.7  # share of level 0 on a black background with noise of sd 1 or more
ADDED = (
    "Noise changes the features of every image. This one covers the background as well, so it was "
    "added when the images were made: save the mean instead of a sample of the last layer or of "
    "the last diffusion step."
)
MAX_LOSSY_NOISE = 5.0  # grey levels of noise that JPEG alone may leave


def _check(evidence: Evidence) -> Found | None:
    noise, specks, lossy = (shift(evidence, name) for name in ("noise", "specks", "lossy"))
    has_noise = noise is not None and noise.direction > 0
    if noise is not None and lossy is not None and lossy.direction > 0:
        has_noise &= noise.own - noise.real >= MAX_LOSSY_NOISE
    has_specks = specks is not None and specks.direction > 0
    has_specks &= saving_mistake(evidence) != WRAPPED.name  # whose dark rims stand out
    if noise is None or specks is None or not (has_noise or has_specks):
        return None
    parts = [f"noise of {noise.own:.1f} grey levels, expected {noise.real:.1f}"]
    if has_specks:
        parts.append(
            f"{100 * specks.own:.1f} % of the pixels stand out from all of their neighbours, "
            f"expected {100 * specks.real:.1f} %"
        )
    figures = {
        "noise": noise.own,
        "reference_noise": noise.real,
        "specks": specks.own,
        "reference_specks": specks.real,
        "strength": noise.own - noise.real + SPECK_SD * max(specks.own - specks.real, 0.0),
    }
    fix = ADDED if _was_added(evidence, noise.own) else None
    return Found(evidence.facts.num_images, "; ".join(parts), figures, fix=fix)


def _was_added(evidence: Evidence, sd: float) -> bool:
    """Return whether the darkest parts are as noisy as the rest: about half of their pixels are
    black then, and the others spread over 2.6 sd.
    """
    ink = evidence.ink
    return bool(ink.num_dark) and ink.zeros < MAX_ZEROS and ink.spread >= sd


NOISY = ContentFinding(
    name="noisy",
    severity="warning",
    message="the images are noisy",
    fix="Noise changes the features of every image. Train longer first: such noise fades while a "
    "generator learns.",
    check=_check,
    cost=Cost(
        ((0.0, 0.0), (1.7, 0.2), (3.2, 1.7), (5.9, 9.4), (10.9, 61.0), (16.1, 247.0)),
        ("strength",),
    ),
    unless=("undertrained",),
)
