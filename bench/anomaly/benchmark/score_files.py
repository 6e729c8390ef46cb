"""The scores of a finished job, checked when they are read: a ledger may be old, copied or "
"damaged.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.anomaly.benchmark.jobs import SCORES, Scores
from bench.errors import InputError, reason_of
from bench.runtime.npz import arrays_from_bytes


def read_scores(folder: Path, *, num_test: int, num_scores: int) -> Scores:
    """Return the scores that `do_cell` wrote to the folder of a job: `num_scores` finite values of
    different rows of the `num_test` test images. Raises `InputError` for anything else.
    """
    path = folder / SCORES
    try:
        arrays = arrays_from_bytes(path.read_bytes(), SCORES)
        found = _checked(arrays["rows"], arrays["scores"], num_test, num_scores)
    except (OSError, KeyError, InputError) as error:
        raise InputError(
            f"{path}: the scores of a finished job cannot be read ({reason_of(error)}); delete the "
            "job's folder in the ledger and run the command again"
        ) from error
    return found


def _checked(
    rows: NDArray[np.generic], scores: NDArray[np.generic], num_test: int, num_scores: int
) -> Scores:
    """Return checked scores. Raises `InputError`."""
    if rows.shape != (num_scores,) or scores.shape != (num_scores,):
        raise InputError(
            f"expected {num_scores} rows and scores, got {rows.shape} and {scores.shape}"
        )
    if rows.dtype.kind not in "iu" or scores.dtype.kind != "f":
        raise InputError(f"expected int rows and float scores, got {rows.dtype}, {scores.dtype}")
    found = Scores(rows.astype(np.int64), scores.astype(np.float64))
    if (np.unique(found.rows, return_counts=True)[1] > 1).any():
        raise InputError("one row of the test split more than once")
    if num_scores and not 0 <= found.rows.min() <= found.rows.max() < num_test:
        raise InputError(f"rows beyond the {num_test} of the test split")
    if not np.isfinite(found.scores).all():
        raise InputError("scores that are not finite")
    return found
