"""Precision and recall of distributions (PRD): the curve that trades one for the other.

    precision(l) = sum_k min(l p_k, q_k),   recall(l) = precision(l) / l

p and q are the shares of the real and of the generated images in the cells of a k-means clustering
of both together, and l = tan(angle) for 1001 angles between 0 and pi/2. Sajjadi et al. 2018
(arXiv:1806.00035), eqs. 7 to 10; the curves of 10 clusterings into 20 cells are averaged. The
largest F_8 on the curve measures recall, the largest F_1/8 precision.

The curve of given shares agrees with the authors' `prd_score.py` to 1e-12. `prd_clustering` says
how the clusterings compare.

Shape legend: K cells, R runs, A angles, n rows of a side.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

CLUSTERS = 20
RUNS = 10
DRAFTS = 10  # k-means++ starts of a clustering
ANGLES = 1001
ANGLE_MARGIN = 1e-10


class PRDCurve(NamedTuple):
    """A curve of `precision` and `recall`, float64 A in [0, 1].

    Index 0 belongs to the smallest l, where recall is largest.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    def thinned(self, points: int) -> PRDCurve:
        """Return evenly spaced points of the curve, both ends included."""
        rows = np.linspace(0, len(self.precision) - 1, points).round().astype(int)
        return PRDCurve(self.precision[rows], self.recall[rows])


def prd_curve(
    p_K: NDArray[np.float64], q_K: NDArray[np.float64], num_angles: int = ANGLES
) -> PRDCurve:
    """Return the curve of the generated shares `q_K` against the real shares `p_K` (sums 1).

    Raises `InputError` for different numbers of cells.

    >>> curve = prd_curve(np.array([0.5, 0.5]), np.array([1.0, 0.0]), 11)
    >>> round(float(curve.precision[5]), 9), round(float(curve.recall[5]), 9)
    (0.5, 0.5)
    """
    if p_K.shape != q_K.shape:
        raise InputError(f"shares over {p_K.size} and over {q_K.size} cells cannot be compared")
    slope_A = np.tan(np.linspace(ANGLE_MARGIN, math.pi / 2 - ANGLE_MARGIN, num_angles))
    precision = np.minimum(slope_A[:, None] * p_K, q_K).sum(axis=1)
    return PRDCurve(precision.clip(0, 1), (precision / slope_A).clip(0, 1))


def max_f_beta(curve: PRDCurve, beta: float) -> float:
    """Return the largest F_beta = (1 + beta^2) P R / (beta^2 P + R) on the curve.

    F_beta is 0 where P = R = 0.

    >>> max_f_beta(PRDCurve(np.array([0.0, 0.5, 1.0]), np.array([1.0, 0.5, 0.0])), beta=1.0)
    0.5
    """
    weighted = beta**2 * curve.precision + curve.recall
    product = (1 + beta**2) * curve.precision * curve.recall
    return float(np.max(product / np.where(weighted > 0, weighted, 1.0)))


class PRDClusters(NamedTuple):
    """The cell of each row in each run, int64 R,n, for the real and for the generated side."""

    real: NDArray[np.int64]
    fake: NDArray[np.int64]

    def shares(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the shares R,K of the real and of the generated rows in the cells."""
        real_RK, fake_RK = (
            np.stack([np.bincount(labels, minlength=CLUSTERS) for labels in side]) / side.shape[1]
            for side in self
        )
        return real_RK, fake_RK

    @property
    def curve(self) -> PRDCurve:
        """Mean curve of the runs."""
        curves = [prd_curve(p_K, q_K) for p_K, q_K in zip(*self.shares(), strict=True)]
        return PRDCurve(
            np.mean([curve.precision for curve in curves], axis=0),
            np.mean([curve.recall for curve in curves], axis=0),
        )
