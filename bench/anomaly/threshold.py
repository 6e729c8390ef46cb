"""A cut-off for anomaly scores from normal images that the detector was not fitted to.

With n held-out normal images and a false positive rate a, the cut-off is the k-th smallest of their
scores, k = ceil((n + 1) (1 - a)), and an image is anomalous if its score is above it. Another
normal image of the same kind then is above it with probability a at most, whatever the distribution
of scores (split conformal prediction, Vovk et al. 2005; Laxhammar and Falkman 2010).

Shape legend: N images.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import UsageError

HELD_OUT_SHARE = 0.2  # of the normal images
SLACK = 1e-9  # (n + 1) (1 - a) may miss a whole number by rounding


class Split(NamedTuple):
    """Normal images to fit to, and those held out: int64 indices."""

    fitted: NDArray[np.int64]
    held_out: NDArray[np.int64]


def split_normal(num: int, fpr: float, seed: int) -> Split:
    """Return a random fifth of `num` normal images to hold out, and the others.

    Raises `UsageError` for a rate outside (0, 1), and for too few images to hold out for it.
    """
    if not 0 < fpr < 1:
        raise UsageError(f"a false positive rate of {fpr:g}: expected more than 0, less than 1")
    count = int(num * HELD_OUT_SHARE)
    needed = math.ceil(1 / fpr - SLACK) - 1
    if count < max(needed, 1):
        raise UsageError(
            f"a false positive rate of {fpr:g} needs {needed:,} or more held-out normal images, "
            f"and a fifth of {num:,} is {count:,}; give {math.ceil(needed / HELD_OUT_SHARE):,} or "
            "more normal images, or a larger rate"
        )
    order = np.random.default_rng(seed).permutation(num)
    return Split(np.sort(order[count:]), np.sort(order[:count]))


def cutoff(scores_N: NDArray[np.floating], fpr: float) -> float:
    """Return the score above which an image is anomalous, from held-out normal images.

    Raises `UsageError` for too few scores.

    >>> cutoff(np.arange(1.0, 20.0), 0.05)  # 19 scores: k = 20 * 0.95
    19.0
    >>> cutoff(np.arange(1.0, 20.0), 0.1)
    18.0
    """
    place = math.ceil((len(scores_N) + 1) * (1 - fpr) - SLACK)
    if place > len(scores_N):
        raise UsageError(f"{len(scores_N)} held-out images are too few for a rate of {fpr:g}")
    return float(np.sort(scores_N)[place - 1])
