"""Images of a generator that has not yet learned the black background of the data.

It is the first thing that a generator learns, since most pixels are background. Noise that was
added to finished images leaves at least half of the black pixels black; an unfinished background is
grey and uneven.
"""

from __future__ import annotations

from bench.content.evidence import Evidence
from bench.content.finding import ContentFinding, Cost, Found, percent
from bench.content.findings.saving_mistakes import has_black_background

MAX_ZEROS = 0.4  # share of level 0 in the darkest parts of the cleanest images
MIN_SPREAD = 10.0  # grey levels; a background that was raised as a whole has none


def is_undertrained(evidence: Evidence) -> bool:
    """Return whether the darkest parts of the images are grey and uneven, on black data."""
    reference, ink = evidence.level_reference, evidence.ink
    if reference is None or not has_black_background(reference) or not ink.num_dark:
        return False
    return ink.zeros < MAX_ZEROS and ink.spread >= MIN_SPREAD


def _check(evidence: Evidence) -> Found | None:
    if not is_undertrained(evidence):
        return None
    ink = evidence.ink
    return Found(
        evidence.facts.num_images,
        f"{percent(ink.zeros)} of the darkest pixels are black, and their levels spread over "
        f"{ink.spread:.0f}; in the data they are black",
        {"zeros": ink.zeros, "spread": ink.spread},
    )


UNDERTRAINED = ContentFinding(
    name="undertrained",
    severity="warning",
    message="the images look unfinished: the background is grey and uneven",
    fix="A generator learns the background first, so this one is at the beginning. Train longer "
    "before you change anything else.",
    check=_check,
    cost=Cost(((0.0, 150.0),)),
    group="undertrained",
    unless=("levels",),
)
