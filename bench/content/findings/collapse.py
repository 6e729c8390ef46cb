"""Mode collapse: far more near duplicates than among real images, or one very large group."""

from __future__ import annotations

from bench.content.evidence import DEFAULT_GROUP_SHARE, Evidence
from bench.content.finding import ContentFinding, Cost, Found, share_of
from bench.content.findings.undertrained import is_undertrained
from bench.content.shifts import shift

MIN_GROUP_SHARE = 0.03
MIN_LARGEST_GROUP = 10
TRAIN_LONGER = (
    "The background shows that training has only begun, and images are alike then. Train longer "
    "before you change anything else."
)
LOWER_BETA = (
    "Blurred images that are all alike are what a VAE gives whose decoder ignores its latent "
    "vector. Look at the KL term in the training log: if it is near 0, lower beta (`--set "
    "model.beta=0.1`); if it is not, train longer."
)


def _check(evidence: Evidence) -> Found | None:
    facts, reference, groups = evidence.facts, evidence.reference, evidence.groups
    rows = evidence.group_rows
    n = len(rows)
    if not len(groups.sizes):
        return None
    in_groups, largest = int(groups.sizes.sum()), int(groups.sizes[0])
    expected, num_real, largest_real = DEFAULT_GROUP_SHARE, 10_000, 1
    if reference is not None:
        expected, num_real = reference.group_share, reference.group_images
        largest_real = reference.largest_group
    more = max(1.0, n / num_real)  # the number of images near an image grows with the folder
    expected = min(1.0, expected * more)
    has_many = in_groups / n >= max(MIN_GROUP_SHARE, 4 * expected) and in_groups >= 4
    has_large = largest >= max(MIN_LARGEST_GROUP, 3 * largest_real * more)
    if not has_many and not has_large:
        return None
    distinct = n - in_groups + len(groups.sizes)
    chosen = "" if n == facts.num_images else f" (of a random {n:,} of {facts.num_images:,})"
    num_groups = "1 group" if len(groups.sizes) == 1 else f"{len(groups.sizes):,} groups"
    return Found(
        round(in_groups * facts.num_images / n),
        f"{share_of(in_groups, n)}{chosen} are in {num_groups} of near duplicates, the largest of "
        f"{largest:,}; about {distinct:,} images are different. Among {max(n, num_real):,} real "
        f"images, {100 * expected:.1f} % are in such groups",
        {
            "in_groups": in_groups,
            "share": in_groups / n,
            "groups": len(groups.sizes),
            "largest": largest,
            "different": distinct,
            "expected_share": expected,
        },
        rows[groups.members(0)],
        fix=_fix(evidence),
    )


def _fix(evidence: Evidence) -> str | None:
    """Return what to try if the images tell more than that they are alike."""
    if is_undertrained(evidence):
        return TRAIN_LONGER
    sharpness = shift(evidence, "sharpness")
    if sharpness is not None and sharpness.direction < 0:
        return LOWER_BETA
    return None


COLLAPSE = ContentFinding(
    name="collapse",
    severity="warning",
    message="groups of images are nearly the same (mode collapse)",
    fix="The generator ignores part of its latent vector, and recall and coverage fall. Compare "
    "samples of earlier checkpoints, and stop training before the images become alike.",
    check=_check,
    cost=Cost(((0.0, 0.0), (0.1, 0.6), (0.3, 5.7), (0.6, 24.0), (0.9, 58.0)), ("share",)),
)
