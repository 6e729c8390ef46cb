"""Far more pixels at black or at white than real images have.

Other classes and thinner strokes leave more of the frame black, so more black counts only if the
nearly black levels are missing as well, where that can be told.
"""

from __future__ import annotations

from bench.content.evidence import Evidence
from bench.content.finding import ContentFinding, Cost, Found, percent
from bench.content.findings.saving_mistakes import is_cut_off
from bench.content.statistics import BLACK, WHITE

CLIPPED = 0.05  # more pixels at an end than in the reference, as a share of all
SIGMAS = 5.0  # standard errors of that share in a folder of real images of the same size
ENDS = {"black": slice(0, BLACK + 1), "white": slice(WHITE, 256)}


def _check(evidence: Evidence) -> Found | None:
    facts, reference = evidence.facts, evidence.level_reference
    if reference is None:
        return None
    parts = []
    figures: dict[str, float] = {}
    for name, levels in ENDS.items():
        own, real = (float(x[levels].sum()) for x in (facts.grey_shares, reference.grey_shares))
        sd = reference.statistic(name)[1]
        noise = SIGMAS * reference.standard_error(sd, facts.num_images)
        rest = (1 - own) / max(1 - real, 1e-9)
        has_more = own - real >= max(CLIPPED, noise)
        if name == "black":
            has_more &= is_cut_off(evidence) is not False
        if has_more and (rest <= 0.75 if name == "black" and real > 0.25 else own >= 2 * real):
            parts.append(f"{percent(own)} of the pixels are {name}, expected {percent(real)}")
            figures |= {f"{name}_share": own, f"reference_{name}_share": real}
    return Found(facts.num_images, " and ".join(parts), figures) if parts else None


CLIPPED_RANGE = ContentFinding(
    name="value-range-clipped",
    severity="warning",
    message="many more pixels are at the end of the range than in the data",
    fix="Clipped values lose their detail, which raises the FID. Bring the generator's output to "
    "0..255 before saving: (x + 1) * 127.5 for tanh, x * 255 for a sigmoid; then round, clip and "
    "convert to uint8.",
    check=_check,
    cost=Cost(((0.0, 13.0),)),
    group="levels",
    unless=("levels", "undertrained"),
)
