"""Floating-point values between 0 and 1 that were converted to uint8 without scaling."""

from __future__ import annotations

from bench.content.evidence import Evidence
from bench.content.finding import ContentFinding, Cost, Found


def _check(evidence: Evidence) -> Found | None:
    facts = evidence.facts
    if int(facts.highs.max()) != 1:
        return None
    return Found(
        facts.num_images, "no pixel of any image is above grey level 1 of 255", {"highest": 1}
    )


UNIT_RANGE = ContentFinding(
    name="value-range-unit",
    severity="error",
    message="values between 0 and 1 were saved as grey levels 0 and 1",
    fix="The images are black to the eye, and their score means nothing. Multiply by 255 and round "
    "before converting to uint8.",
    check=_check,
    cost=Cost(((0.0, 800.0),)),
    group="levels",
)
