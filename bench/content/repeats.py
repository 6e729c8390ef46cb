"""Blank images, images that repeat each other, and groups of near duplicates.

Shape legend: N images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtrc

from bench.content.codes import content_finding, first_places, share_of
from bench.content.facts import ContentFacts
from bench.content.nearest import Groups, near_groups
from bench.content.reference import ReferenceContent
from bench.records.score_record import FindingEntry
from bench.statistics.moments import subset_rows

MAX_CONSTANT_RANGE = 2  # grey levels; an image of less range is blank
FALSE_ALARM = 0.001
GROUP_SUBSET = 20_000  # images that groups are looked for among
DEFAULT_GROUP_RADIUS = 0.05  # without a reference: of 10,000 real digits or clothes 0.1 % have
DEFAULT_GROUP_SHARE = 0.001  # another within it
MIN_GROUP_SHARE = 0.03
MIN_LARGEST_GROUP = 10
FEW = 0.01  # duplicates of up to this share of the images are for information


def constant_findings(facts: ContentFacts) -> list[FindingEntry]:
    """Images without any contrast; an error when there are no others."""
    rows = np.flatnonzero(facts.highs.astype(int) - facts.lows < MAX_CONSTANT_RANGE)
    if int(facts.highs.max()) == 1 and int(facts.lows.min()) == 0:
        rows = rows[facts.highs[rows] == facts.lows[rows]]  # 0 and 1 are the levels of floats
    if not len(rows):
        return []
    everything = len(rows) == facts.num_images
    return [
        content_finding(
            "constant-images",
            len(rows),
            share_of(len(rows), facts.num_images),
            {"constant": len(rows), "share": len(rows) / facts.num_images},
            examples=first_places(rows),
            severity="error" if everything else None,
        )
    ]


def duplicate_findings(
    facts: ContentFacts, reference: ReferenceContent | None
) -> list[FindingEntry]:
    _, first, counts = np.unique(facts.hashes, return_index=True, return_counts=True)
    num_distinct, n = len(counts), facts.num_images
    extra = n - num_distinct
    if not extra:
        return []
    num_pairs = float((counts * (counts - 1.0) / 2).sum())
    expected = 0.0 if reference is None else reference.exact_pairs * n * (n - 1) / 2
    if pdtrc(num_pairs - 1, expected) > FALSE_ALARM:
        return []
    repeated = np.ones(n, np.bool_)
    repeated[first] = False
    largest = int(counts.max())
    return [
        content_finding(
            "exact-duplicates",
            extra,
            f"{share_of(extra, n)} repeat another; {num_distinct:,} are different, and one comes "
            f"{largest:,} times",
            {"duplicates": extra, "distinct": num_distinct, "largest": largest},
            examples=first_places(np.flatnonzero(repeated)),
            severity="info" if extra <= FEW * n else None,
        )
    ]


def _groups_of(count: int) -> str:
    return "1 group" if count == 1 else f"{count:,} groups"


def folder_groups(
    facts: ContentFacts, reference: ReferenceContent | None
) -> tuple[Groups, NDArray[np.int64]]:
    """Groups of near images, and the rows of the images that they are looked for among."""
    radius = DEFAULT_GROUP_RADIUS if reference is None else reference.group_radius
    among = subset_rows(len(facts.descriptor_rows), GROUP_SUBSET)
    found = near_groups(facts.descriptors[among].astype(np.float32), radius)
    return found, facts.descriptor_rows[among]


def collapse_findings(
    facts: ContentFacts,
    reference: ReferenceContent | None,
    groups: Groups,
    rows: NDArray[np.int64],
) -> list[FindingEntry]:
    """Far more images in groups than of real images, or one group that is far larger."""
    n = len(rows)
    if not len(groups.sizes):
        return []
    in_groups, largest = int(groups.sizes.sum()), int(groups.sizes[0])
    expected, among, most = DEFAULT_GROUP_SHARE, 10_000, 1
    if reference is not None:
        expected, among = reference.group_share, reference.group_images
        most = reference.largest_group
    expected = min(1.0, expected * max(1.0, n / among))  # images near an image grow with n
    enough = in_groups / n >= max(MIN_GROUP_SHARE, 4 * expected) and in_groups >= 4
    large = largest >= max(MIN_LARGEST_GROUP, 3 * most * max(1.0, n / among))
    if not enough and not large:
        return []
    distinct = n - in_groups + len(groups.sizes)
    of = "" if n == facts.num_images else f" (of a random {n:,} of {facts.num_images:,})"
    detail = (
        f"{share_of(in_groups, n)}{of} are in {_groups_of(len(groups.sizes))} of near duplicates, "
        f"the largest of {largest:,}; about {distinct:,} are different. Of "
        f"{max(n, among):,} real images {100 * expected:.1f} % are in such groups"
    )
    figures = {
        "in_groups": in_groups,
        "share": in_groups / n,
        "groups": len(groups.sizes),
        "largest": largest,
        "different": distinct,
        "expected_share": expected,
    }
    return [
        content_finding(
            "collapse",
            round(in_groups * facts.num_images / n),
            detail,
            figures,
            examples=first_places(rows[groups.members(0)]),
        )
    ]
