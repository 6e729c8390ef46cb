"""Images without any contrast; an error if the folder has no others."""

from __future__ import annotations

from bench.content.evidence import Evidence
from bench.content.finding import ContentFinding, Cost, Found, share_of


def _check(evidence: Evidence) -> Found | None:
    facts = evidence.facts
    rows = facts.constant_rows
    if not len(rows):
        return None
    return Found(
        len(rows),
        share_of(len(rows), facts.num_images),
        {"constant": len(rows), "share": len(rows) / facts.num_images},
        rows,
        severity="error" if facts.is_blank else None,
    )


CONSTANT_IMAGES = ContentFinding(
    name="constant-images",
    severity="warning",
    message="images are blank: all of their pixels have one grey level",
    fix="A blank image resembles no real one and lowers the score. Open one of these files: the "
    "usual causes are NaN values in the generator's output and a wrong scale before saving.",
    check=_check,
    cost=Cost(((0.0, 0.0), (0.05, 12.0), (0.2, 81.0), (0.5, 265.0), (0.9, 616.0)), ("share",)),
    checks_blank_images=True,
)
