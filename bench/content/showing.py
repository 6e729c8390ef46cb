"""Pictures and curves of a folder's content, as exhibits for a page; see
`bench.records.pictures_file`.

Shape legend: n images shown, h rows, w columns, C channels, K classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.content.facts import ContentFacts
from bench.content.judging import ContentJudgement
from bench.content.reference import ReferenceContent
from bench.statistics.moments import subset_rows

NUM_SAMPLES = 100
NUM_DUPLICATES = 32
NUM_GROUPS = 100


def content_exhibits(
    facts: ContentFacts,
    reference: ReferenceContent | None,
    judgement: ContentJudgement,
    *,
    class_shares: NDArray[np.float64] | None = None,
    reference_class_shares: NDArray[np.float64] | None = None,
) -> dict[str, NDArray[np.generic]]:
    """The exhibits that the content of a folder gives; what there is nothing of is left out.

    Copies and groups are shown when they are found wanting, not when real images have as many.
    """
    codes = {finding.code for finding in judgement.findings}
    shown = subset_rows(len(facts.thumbnails), NUM_SAMPLES)
    exhibits: dict[str, NDArray[np.generic]] = {
        "sample_images": facts.thumbnails[shown],
        "grey_histogram": facts.grey_shares,
    }
    if reference is not None:
        exhibits["reference_grey_histogram"] = reference.grey_shares
    if class_shares is not None and reference_class_shares is not None:
        exhibits["class_shares"] = np.asarray(class_shares, np.float64)
        exhibits["reference_class_shares"] = np.asarray(reference_class_shares, np.float64)
    if "collapse" in codes:
        exhibits |= _largest_group(facts, judgement)
    if "copied-training-images" in codes:
        exhibits |= _copies(facts, judgement)
    return exhibits


def _largest_group(
    facts: ContentFacts, judgement: ContentJudgement
) -> dict[str, NDArray[np.generic]]:
    groups = judgement.groups
    if groups is None or not len(groups.sizes):
        return {}
    rows = judgement.group_rows[groups.members(0)]
    rows = rows[np.isin(rows, facts.thumbnail_rows)][:NUM_DUPLICATES]
    if not len(rows):
        return {}
    return {
        "duplicate_images": facts.thumbnails[np.searchsorted(facts.thumbnail_rows, rows)],
        "duplicate_sizes": groups.sizes[:NUM_GROUPS],
    }


def _copies(facts: ContentFacts, judgement: ContentJudgement) -> dict[str, NDArray[np.generic]]:
    copies = judgement.copies
    if copies is None or not len(copies.shown):
        return {}
    rows = copies.rows[copies.shown]
    return {
        "copy_images": facts.thumbnails[np.searchsorted(facts.thumbnail_rows, rows)],
        "copy_training_images": copies.shown_training,
        "copy_distances": copies.distances[copies.shown],
    }
