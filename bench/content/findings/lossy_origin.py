"""Traces of JPEG's 8x8 blocks, whatever the format of the files is now."""

from __future__ import annotations

from bench.content.evidence import Evidence
from bench.content.finding import ContentFinding, Cost, Found
from bench.content.shifts import shift


def _check(evidence: Evidence) -> Found | None:
    lossy = shift(evidence, "lossy")
    if lossy is None or lossy.direction <= 0:
        return None
    return Found(
        evidence.facts.num_images,
        f"{100 * (lossy.own - lossy.real):.0f} % more of the fine coefficients vanish on JPEG's "
        "grid of 8x8 blocks than on other grids",
        {"lossy": lossy.own, "reference_lossy": lossy.real},
    )


LOSSY_ORIGIN = ContentFinding(
    name="lossy-origin",
    severity="warning",
    message="the images show the 8x8 blocks of JPEG, even if they are in a lossless file now",
    fix="Compression with loss changes every score. Save PNG straight from the generator, and keep "
    "JPEG out of the whole path.",
    check=_check,
    cost=Cost(((0.0, 2.2),)),
)
