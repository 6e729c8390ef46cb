"""Which detector scores images for `anomaly_auc`, and how its scores are identified."""

from __future__ import annotations

import dataclasses

from bench.anomaly.detectors import DETECTORS, DetectorRow
from bench.anomaly.detectors.code import detector_code
from bench.errors import UsageError

PUBLISHED = "published"
BUDGETS = (PUBLISHED, "cpu")
OWN = "knn-features"  # the detector of anomaly_auc when none is named


def chosen_detector(name: str | None, budget: str | None = None) -> DetectorRow | None:
    """Return the row of a detector, None for the metric's own. The constants of one that is a
    network include its budget, "published" when `budget` is None.

    Raises `UnknownNameError`, and `UsageError` for a detector that is tuned on the labels it would
    be judged by, for an unknown budget, and for a budget that no network takes.
    """
    if budget not in (None, *BUDGETS):
        raise UsageError(f"--budget {budget}: expected {' or '.join(BUDGETS)}")
    row = None if name is None or name == OWN else DETECTORS.find(name)
    if budget is not None and (row is None or not row.trains):
        raise UsageError(
            f"--budget {budget}: detector {name or OWN!r} trains no network; leave it out, or name "
            "one that does with --detector"
        )
    if row is None:
        return None
    if row.labels == "test":
        raise UsageError(
            f"detector {name!r} is tuned on labelled test images, and a folder to score has no "
            "labels; latentbench anomaly takes labelled images"
        )
    if not row.trains:
        return row
    return dataclasses.replace(row, constants={**row.constants, "budget": budget or PUBLISHED})


def detector_identity(row: DetectorRow) -> str:
    """Return the name of a detector, with the budget of a network when it is not the published one.

    A record holds it.
    """
    budget = row.constants.get("budget", PUBLISHED)
    return row.name if budget == PUBLISHED else f"{row.name}:{budget}"


def cache_identity(row: DetectorRow) -> dict[str, str]:
    """Return what the cache key of a score by this detector holds: its identity and the digest of
    its code, whichever package that is in.

    Raises `UsageError` when the source of its code cannot be found.
    """
    code = detector_code(row)
    if code is None:
        raise UsageError(
            f"detector {row.name!r}: its source cannot be found, so a cached score could be of "
            "other code; score with --no-cache"
        )
    return {"detector": detector_identity(row), "detector_code": code}
