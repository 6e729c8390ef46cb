"""Noise in flat parts of the images, and specks."""

from __future__ import annotations

from bench.content.evidence import Evidence
from bench.content.finding import ContentFinding, Found
from bench.content.shifts import shift

MAX_LOSSY_NOISE = 5.0  # grey levels of noise that JPEG alone may leave


def _check(evidence: Evidence) -> Found | None:
    noise, specks, lossy = (shift(evidence, name) for name in ("noise", "specks", "lossy"))
    has_noise = noise is not None and noise.direction > 0
    if noise is not None and lossy is not None and lossy.direction > 0:
        has_noise &= noise.own - noise.real >= MAX_LOSSY_NOISE
    has_specks = specks is not None and specks.direction > 0
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
    }
    return Found(evidence.facts.num_images, "; ".join(parts), figures)


NOISY = ContentFinding(
    name="noisy",
    severity="warning",
    message="the images are noisy",
    fix="Noise changes the features of every image; it shows best in flat parts. Save the mean "
    "instead of a sample of the last layer or of the last diffusion step; then train longer.",
    check=_check,
)
