"""Images that repeat another image of the folder in every pixel."""

from __future__ import annotations

import numpy as np

from bench.content.evidence import Evidence
from bench.content.finding import ContentFinding, Cost, Found, share_of

FALSE_ALARM = 0.001  # for a folder of real images, whose data set may repeat images itself
FEW = 0.01  # duplicates of at most this share of the images are for information


def _check(evidence: Evidence) -> Found | None:
    facts, reference = evidence.facts, evidence.reference
    _, first, counts = np.unique(facts.hashes, return_index=True, return_counts=True)
    num_distinct, n = len(counts), facts.num_images
    extra = n - num_distinct
    if not extra:
        return None
    from scipy.special import pdtrc

    num_pairs = float((counts * (counts - 1.0) / 2).sum())
    expected = 0.0 if reference is None else reference.exact_pairs * n * (n - 1) / 2
    if pdtrc(num_pairs - 1, expected) > FALSE_ALARM:
        return None
    repeated = np.ones(n, np.bool_)
    repeated[first] = False
    largest = int(counts.max())
    return Found(
        extra,
        f"{share_of(extra, n)} repeat another one; {num_distinct:,} images are different, and the "
        f"most frequent one occurs {largest:,} times",
        {"duplicates": extra, "share": extra / n, "distinct": num_distinct, "largest": largest},
        np.flatnonzero(repeated),
        severity="info" if extra <= FEW * n else None,
    )


EXACT_DUPLICATES = ContentFinding(
    name="exact-duplicates",
    severity="warning",
    message="images are equal to another image of the folder in every pixel",
    fix="Repeated images lower recall and coverage. Draw a new latent vector for every image "
    "that is saved.",
    check=_check,
    cost=Cost(((0.0, 0.0), (0.5, 0.3), (0.9, 7.0)), ("share",)),
    checks_blank_images=True,
)
