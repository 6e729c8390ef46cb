"""Faults of a labelled folder as a test: images on both sides, and colour on one side only.

A training image among the test images is recognised rather than judged, and an image under both
labels has no right answer. Images are compared by the digest of their pixels
(`bench.intake.image_set`), in which a grey image equals its copy in colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.anomaly.folder.labels import KINDS
from bench.intake.image_set import make_block
from bench.records.score_record import FindingEntry

NUM_EXAMPLES = 5

U8 = NDArray[np.uint8]


def overlap_findings(
    normal: U8, images: U8, labels: NDArray[np.int64], names: Sequence[str]
) -> tuple[FindingEntry, ...]:
    """Return findings about training images (uint8 N,H,W,C) and named labelled test images
    (M,H,W,C).
    """
    if normal.shape[1:3] != images.shape[1:3]:
        return ()
    known = set(make_block(0, normal).digests)
    digests = make_block(0, images).digests
    seen = [row for row, digest in enumerate(digests) if digest in known]
    sides = [{d for d, one in zip(digests, labels, strict=True) if one == kind} for kind in (0, 1)]
    both = [row for row, digest in enumerate(digests) if digest in sides[0] & sides[1]]
    found = []
    if seen:
        normals = int((labels[seen] == 0).sum())
        found.append(
            _finding(
                "train-in-test",
                f"test images that are training images, pixel by pixel: {normals:,} {KINDS[0]}, "
                f"{len(seen) - normals:,} {KINDS[1]}; a detector knows them, and the AUC is not "
                "that of new images",
                "Keep images that were trained on out of the test images.",
                (names[row] for row in seen),
                len(seen),
            )
        )
    if both:
        found.append(
            _finding(
                "both-labels",
                "test images with the same pixels under both labels; no detector can be "
                "right about them",
                "Keep one of the two.",
                (names[row] for row in both),
                len(both),
            )
        )
    return tuple(found)


def colour_finding(channels: Mapping[str, int], num: int) -> tuple[FindingEntry, ...]:
    """Return a finding when some of the named sets, `num` images in all, are grey and others in
    colour.
    """
    grey = [name for name, count in channels.items() if count == 1]
    colour = [name for name, count in channels.items() if count == 3]
    if not grey or not colour:
        return ()
    return (
        _finding(
            "grey-and-colour",
            f"{' and '.join(grey)} images are grey, {' and '.join(colour)} images in colour; what "
            "tells them apart may be the colour alone. Grey ones were given three equal channels",
            "Save all images in one colour mode.",
            (),
            num,
        ),
    )


def _finding(
    code: str, message: str, fix: str, examples: Iterable[str], count: int
) -> FindingEntry:
    return FindingEntry(
        code=code,
        severity="warning",
        count=count,
        examples=tuple(sorted(examples)[:NUM_EXAMPLES]),
        message=message,
        fix=fix,
    )
