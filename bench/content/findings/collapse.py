"""Mode collapse: far more near duplicates than among real images, or one very large group."""

from __future__ import annotations

from bench.content.evidence import DEFAULT_GROUP_SHARE, Evidence
from bench.content.finding import ContentFinding, Found, share_of

MIN_GROUP_SHARE = 0.03
MIN_LARGEST_GROUP = 10


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
    )


COLLAPSE = ContentFinding(
    name="collapse",
    severity="warning",
    message="groups of images are nearly the same (mode collapse)",
    fix="The generator ignores part of its latent vector, and recall and coverage fall. Check "
    "first that every image has a latent vector of its own and that batch norm is in evaluation "
    "mode. If so, train with a weaker discriminator or stop earlier.",
    check=_check,
)
