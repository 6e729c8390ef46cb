"""The report pictures and curves that the content of a folder gives.

`bench.records.pictures_file` lists their names and shapes.

Shape legend: n images shown, h rows, w columns, C channels, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bench.content.evidence import Evidence
from bench.content.facts import ContentFacts
from bench.content.findings.collapse import COLLAPSE
from bench.content.findings.copied_training_images import COPIED_TRAINING_IMAGES
from bench.records.score_record import FindingEntry
from bench.statistics.moments import subset_rows

NUM_SAMPLES = 100
NUM_DUPLICATES = 32
NUM_GROUPS = 100

Pictures = dict[str, NDArray[np.generic]]


def content_pictures(evidence: Evidence, findings: Iterable[FindingEntry]) -> Pictures:
    """Return the report pictures of a folder by name; those that do not apply are omitted.

    Copies and near duplicates are shown only if `findings`, those of the same evidence, report
    them: real images have a few as well.
    """
    facts, reference = evidence.facts, evidence.reference
    codes = {finding.code for finding in findings}
    shown = subset_rows(len(facts.thumbnails), NUM_SAMPLES)
    pictures: Pictures = {
        "sample_images": facts.thumbnails[shown],
        "grey_histogram": facts.grey_shares,
    }
    if reference is not None:
        pictures["reference_grey_histogram"] = reference.grey_shares
    if evidence.class_shares is not None and evidence.reference_class_shares is not None:
        pictures["class_shares"] = np.asarray(evidence.class_shares, np.float64)
        pictures["reference_class_shares"] = np.asarray(evidence.reference_class_shares, np.float64)
    if COLLAPSE.name in codes:
        pictures |= _largest_group(evidence)
    if COPIED_TRAINING_IMAGES.name in codes:
        pictures |= _copies(evidence)
    return pictures


def _thumbnails_at(facts: ContentFacts, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the thumbnails of the images at `rows`, each of which must have one."""
    return facts.thumbnails[np.searchsorted(facts.thumbnail_rows, rows)]


def _largest_group(evidence: Evidence) -> Pictures:
    facts, groups = evidence.facts, evidence.groups
    rows = evidence.group_rows[groups.members(0)]
    rows = rows[np.isin(rows, facts.thumbnail_rows)][:NUM_DUPLICATES]
    if not len(rows):
        return {}
    return {
        "duplicate_images": _thumbnails_at(facts, rows),
        "duplicate_sizes": groups.sizes[:NUM_GROUPS],
    }


def _copies(evidence: Evidence) -> Pictures:
    copies = evidence.copies
    if copies is None or not len(copies.shown):
        return {}
    return {
        "copy_images": _thumbnails_at(evidence.facts, copies.rows[copies.shown]),
        "copy_training_images": copies.shown_training,
        "copy_distances": copies.distances[copies.shown],
    }
