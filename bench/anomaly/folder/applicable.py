"""Which detectors a set of images admits, with the reason for those that it does not.

A detector requested by name fails with this reason. A detector that came with a group ("shallow",
"network", "all") is left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bench.anomaly.detectors import DetectorRow
from bench.anomaly.detectors.seen import extractor_of
from bench.anomaly.fit_and_judge import Task
from bench.extractors import extractor_row


class Missed(NamedTuple):
    """A detector without a result, and the reason."""

    name: str
    reason: str


def obstacle(row: DetectorRow, task: Task, extractor: str) -> str | None:
    """Return why a detector cannot be applied to these images, or None when it can."""
    height, width = task.images.shape[1:3]
    size = f"images of {width}x{height} px"
    name = extractor_of(row, extractor)
    side_px = None if name is None else extractor_row(name).side_px
    if side_px is not None and (height, width) != (side_px, side_px):
        taken = f"{side_px}x{side_px}"
        return (
            f"{size}, and extractor {name} takes {taken} px; give --resize {taken} or another "
            "--extractor"
        )
    if row.square and height != width:
        return f"{size}, and it turns images by 90 degrees; give --resize {height}x{height}"
    if row.max_side_px is not None and max(height, width) > row.max_side_px:
        most = row.max_side_px
        return f"{size}, and it takes at most {most} px a side; give --resize {most}x{most}"
    if len(task.normal) < row.at_least:
        return f"{len(task.normal)} normal images, and it needs {row.at_least} or more"
    fewest = int(np.bincount(task.labels, minlength=2).min())
    if row.labels == "test" and fewest < 2:
        return "an oracle is tuned on one labelled image of each kind and judged on another"
    return None
