"""Blurred images, and images with more fine detail than real ones.

Noise raises the fine detail too, so the second is checked after it; changed grey levels change the
sharpness of edges, so both are skipped after such a finding.
"""

from __future__ import annotations

import math

from bench.content.evidence import Evidence
from bench.content.finding import ContentFinding, Found
from bench.content.shifts import shift


def _check(evidence: Evidence, direction: int) -> Found | None:
    sharpness = shift(evidence, "sharpness")
    if sharpness is None or sharpness.direction != direction:
        return None
    energy = 100 * math.exp(sharpness.own - sharpness.real)
    return Found(
        evidence.facts.num_images,
        f"fine detail has {energy:.0f} % of the energy that it has in real images",
        {"sharpness": sharpness.own, "reference_sharpness": sharpness.real},
    )


BLURRED = ContentFinding(
    name="blurred",
    severity="warning",
    message="the images are blurred",
    fix="The FID punishes missing detail. A plain VAE or autoencoder blurs by nature; for any "
    "other model, check the resizing and the last layer first.",
    check=lambda evidence: _check(evidence, -1),
    unless=("levels",),
)
OVERSHARP = ContentFinding(
    name="oversharp",
    severity="warning",
    message="the images have more fine detail than the data",
    fix="Detail that real images lack raises the FID. Enlarge one image and look for checkerboard "
    "patterns, ringing, jagged edges or resizing without a filter.",
    check=lambda evidence: _check(evidence, 1),
    unless=("levels", "noisy"),
)
