"""Findings about results that mean nothing: wrong labels, equal scores, copies to learn from.

Shape legend: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.anomaly.fit_and_judge import Judged
from bench.records.score_record import FindingEntry

CHANCE = 0.5
FEW_DIFFERENT = 0.1  # share of different images among those to learn from


def copies_findings(images: NDArray[np.uint8]) -> list[FindingEntry]:
    """Return a warning if most of the training images uint8 N,H,W,C are copies of each other."""
    different = len({image.tobytes() for image in images})
    if len(images) < 2 or (different > 1 and different >= FEW_DIFFERENT * len(images)):
        return []
    what = "all are identical" if different == 1 else f"only {different:,} of them are different"
    return [
        FindingEntry(
            code="identical-training-images",
            severity="warning",
            count=len(images) - different,
            examples=(),
            message=f"of {len(images):,} training images {what}: a detector cannot learn from them "
            "how normal images vary, and its results mean little",
            fix="give different normal images with --train",
            figures={"different": different},
        )
    ]


def result_findings(judged: Sequence[Judged]) -> list[FindingEntry]:
    """Return warnings about detectors whose scores or AUC say nothing about the images."""
    equal = [one for one in judged if one.scores.min() == one.scores.max()]
    swapped = [
        one
        for one in judged
        if one.numbers.interval is not None and one.numbers.interval.high < CHANCE
    ]
    found = []
    if equal:
        found.append(
            FindingEntry(
                code="equal-scores",
                severity="warning",
                count=len(equal),
                examples=tuple(one.row.name for one in equal),
                message=f"{_names(equal)}: every image has the same score, so the AUC of 0.5 and "
                "the average precision say nothing",
                fix="choose another detector, or check that the training images differ",
            )
        )
    if swapped:
        aucs = ", ".join(f"{one.numbers.auc:.3f}" for one in swapped)
        found.append(
            FindingEntry(
                code="auc-below-half",
                severity="warning",
                count=len(swapped),
                examples=tuple(one.row.name for one in swapped),
                message=f"{_names(swapped)}: the AUC ({aucs}) is significantly below 0.5: normal "
                "images look more anomalous than anomalous ones. The labels may be swapped, or the "
                "training images may be of the anomalous kind",
                fix="check that label 1 and anomalous/ are the anomalous images and that --train "
                "holds normal ones; with swapped labels the AUC is 1 minus this one",
            )
        )
    return found


def _names(judged: Sequence[Judged]) -> str:
    return ", ".join(one.row.name for one in judged)
