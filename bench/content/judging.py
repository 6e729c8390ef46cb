"""From facts about a folder, and about real images, to findings in words and figures.

Shape legend: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.content.classes import class_findings
from bench.content.codes import CONTENT_CODES, content_finding, first_places, share_of
from bench.content.copies import (
    ASSUMED_RATE,
    MIN_CHECKED,
    Copies,
    TrainingPixels,
    find_copies,
    least_count,
    real_rate,
)
from bench.content.facts import ContentFacts
from bench.content.levels import level_findings
from bench.content.nearest import Groups
from bench.content.reference import ReferenceContent
from bench.content.repeats import (
    collapse_findings,
    constant_findings,
    duplicate_findings,
    folder_groups,
)
from bench.content.texture import texture_findings
from bench.intake.codes import SEVERITIES
from bench.records.score_record import FindingEntry

MIN_REAL, MIN_IMAGES = 50, 20  # to compare levels and texture of reference and folder
MIN_NEAR_SHARE = 0.005  # of copies that are near only; ones alone come nearer than all digits


@dataclass(frozen=True)
class ContentJudgement:
    """Findings, and what their pictures are made of; `copies` and `groups` are None when they were
    not looked for. `group_rows` int64 are the images that groups were looked for among.
    """

    findings: tuple[FindingEntry, ...]
    copies: Copies | None
    groups: Groups | None
    group_rows: NDArray[np.int64]


def content_findings(
    facts: ContentFacts,
    reference: ReferenceContent | None,
    *,
    class_shares: NDArray[np.float64] | None = None,
    reference_class_shares: NDArray[np.float64] | None = None,
    class_names: Sequence[str] | None = None,
    training_pixels: TrainingPixels | None = None,
) -> tuple[FindingEntry, ...]:
    """The findings of `judge_content`."""
    return judge_content(
        facts,
        reference,
        class_shares=class_shares,
        reference_class_shares=reference_class_shares,
        class_names=class_names,
        training_pixels=training_pixels,
    ).findings


def judge_content(
    facts: ContentFacts,
    reference: ReferenceContent | None,
    *,
    class_shares: NDArray[np.float64] | None = None,
    reference_class_shares: NDArray[np.float64] | None = None,
    class_names: Sequence[str] | None = None,
    training_pixels: TrainingPixels | None = None,
) -> ContentJudgement:
    """What is wrong with a folder.

    Without a reference only what needs none is found. Class shares, float64 K, are of the folder
    and of the reference by one classifier. Examples are positions of images in the folder, from 0;
    see `with_names`.
    """
    found = constant_findings(facts)
    blank = bool(found) and found[0].severity == "error"
    found += duplicate_findings(facts, reference)
    groups, group_rows = None, np.empty(0, np.int64)
    copies = None
    classes: list[FindingEntry] = []
    if not blank:
        groups, group_rows = folder_groups(facts, reference)
        found += collapse_findings(facts, reference, groups, group_rows)
        if class_shares is not None and reference_class_shares is not None:
            classes = class_findings(
                class_shares, reference_class_shares, facts.num_images, class_names
            )
        found += classes
        beside = reference if _can_compare(facts, reference) else None
        levels = level_findings(facts, beside, classes_off=bool(classes))
        found += levels
        if reference is not None and _same_size(facts, reference):
            if beside is not None:
                found += texture_findings(facts, beside, levels_changed=_bends(levels))
            copies = find_copies(facts, reference.copy_base, training_pixels)
            found += _copied(facts, reference, copies)
    order = list(CONTENT_CODES)
    found.sort(key=lambda one: (SEVERITIES.index(one.severity), order.index(one.code)))
    return ContentJudgement(tuple(found), copies, groups, group_rows)


def _can_compare(facts: ContentFacts, reference: ReferenceContent | None) -> bool:
    """Whether levels and texture of so few images say anything."""
    if reference is None:
        return False
    return reference.num_train >= MIN_REAL and facts.num_images >= MIN_IMAGES


def _bends(levels: list[FindingEntry]) -> bool:
    """Whether a fault of the levels changes edges too; a narrow range does not."""
    return any(finding.code != "value-range-narrow" for finding in levels)


def _same_size(facts: ContentFacts, reference: ReferenceContent) -> bool:
    return (facts.height_px, facts.width_px) == (reference.height_px, reference.width_px)


def with_names(findings: Iterable[FindingEntry], names: Sequence[str]) -> tuple[FindingEntry, ...]:
    """Findings about content whose examples are names instead of positions."""
    return tuple(
        finding.model_copy(
            update={"examples": tuple(names[int(place)] for place in finding.examples)}
        )
        for finding in findings
    )


def _copied(
    facts: ContentFacts,
    reference: ReferenceContent,
    copies: Copies,
) -> list[FindingEntry]:
    rates, n, count = reference.copy_rates, facts.num_images, len(copies.rows)
    found = rates.num_near if copies.verified else rates.num_alone
    checked = rates.num_checked
    # equal images do not come by chance, only when the data repeats its own
    equal = max(
        rates.num_equal / max(checked, 1), min(1.0, reference.exact_pairs * reference.num_train)
    )
    close = real_rate(rates.num_close, checked)
    if checked >= MIN_CHECKED:  # so near that none among many means none
        close = rates.num_close / checked
    rate = found / checked if checked else ASSUMED_RATE
    limits = (
        (copies.num_equal, least_count(n, equal)),
        (copies.num_close, least_count(n, close)),
        (count, max(MIN_NEAR_SHARE * n, least_count(n, real_rate(found, checked)))),
    )
    if not any(number >= least for number, least in limits):
        return []
    how = (
        ""
        if copies.verified or not copies.num_near
        else (" (judged without the training images, by small descriptors)")
    )
    detail = (
        f"{share_of(count, n)}: {copies.num_exact:,} in every pixel, {copies.num_within_one:,} "
        f"within one grey level, {copies.num_near:,} nearly (noise, JPEG or a shift by a "
        f"pixel){how}. Real images: {100 * rate:.2g} %"
    )
    figures = {
        "copies": count,
        "share": count / n,
        "exact": copies.num_exact,
        "within_one": copies.num_within_one,
        "near": copies.num_near,
        "expected_share": rate,
        "verified": float(copies.verified),
    }
    return [
        content_finding(
            "copied-training-images",
            count,
            detail,
            figures,
            examples=first_places(copies.rows),
        )
    ]
