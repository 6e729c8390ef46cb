"""Blurred images, and images with more fine detail than real ones.

Noise raises the fine detail too, so the second is checked after it; changed grey levels change the
sharpness of edges, so both are skipped after such a finding.
"""

from __future__ import annotations

import math

from bench.content.evidence import Evidence
from bench.content.finding import ContentFinding, Cost, Found
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
    fix="The FID punishes missing detail. Train longer first: detail comes last. A plain VAE or "
    "autoencoder keeps some blur however long it trains.",
    check=lambda evidence: _check(evidence, -1),
    cost=Cost(
        ((0.0, 0.0), (0.3, 16.0), (0.8, 84.0), (1.2, 216.0), (2.0, 539.0)),
        ("sharpness", "reference_sharpness"),
    ),
    unless=("levels", "undertrained"),
)
OVERSHARP = ContentFinding(
    name="oversharp",
    severity="warning",
    message="the images have more fine detail than the data",
    fix="Detail that real images lack raises the FID. Enlarge one image and look for checkerboard "
    "patterns, ringing and jagged edges.",
    check=lambda evidence: _check(evidence, 1),
    cost=Cost(((0.0, 0.0), (0.1, 0.6)), ("sharpness", "reference_sharpness")),
    unless=("levels", "noisy", "undertrained"),
)
