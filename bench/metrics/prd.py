"""Precision and recall of distributions: the curve that trades one for the other.

    precision(l) = sum_k min(l p_k, q_k),   recall(l) = precision(l) / l

p and q are the shares of the real and of the generated images in the cells of a k-means clustering
of both together; l = tan(angle) runs over 1001 angles between 0 and pi/2. Sajjadi et al. 2018
(arXiv:1806.00035), eqs. 7 to 10; curves of 10 clusterings into 20 cells are averaged.
F_8 is recall-like, F_1/8 precision-like: the largest F_beta on the curve.

The curve of given shares agrees with the authors' `prd_score.py` to 1e-12. That program clusters
with scikit-learn's MiniBatchKMeans (n_init 10): 2 to 7 s for each of the 10 runs on two busy cores
(10,000 images a side, D=128), where ours takes 0.4 to 2 s for all. It starts in the same way (the
best of 10 k-means++ drafts on 3,072 rows) and goes on with full Lloyd steps, all runs in one
matrix product; and it does not change with the version of a library. The two agree within the
noise of the clusterings (0.01 in F on 1,500 images a side in the tests).

Shape legend: N rows of both sides, D features, K cells, R runs, C drafts, A angles.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bench.errors import InputError

CLUSTERS = 20
RUNS = 10
DRAFTS = 10
DRAFT_ROWS = 3072  # scikit-learn's init_size: 3 batches of 1024
LLOYD_STEPS = 20
ANGLES = 1001
ANGLE_MARGIN = 1e-10


class PRDCurve(NamedTuple):
    """`precision` and `recall`, float64 A in [0, 1], from all precision to all recall or back:
    index 0 is the smallest l (recall at its largest).
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    def thinned(self, points: int) -> PRDCurve:
        """Evenly spaced points of the curve, both ends included."""
        rows = np.linspace(0, len(self.precision) - 1, points).round().astype(int)
        return PRDCurve(self.precision[rows], self.recall[rows])


def prd_curve(
    p_K: NDArray[np.float64], q_K: NDArray[np.float64], num_angles: int = ANGLES
) -> PRDCurve:
    """Curve of the generated shares `q_K` against the real shares `p_K` (both sum to 1)."""
    if p_K.shape != q_K.shape:
        raise InputError(f"shares over {p_K.size} and over {q_K.size} cells cannot be compared")
    slope_A = np.tan(np.linspace(ANGLE_MARGIN, math.pi / 2 - ANGLE_MARGIN, num_angles))
    precision = np.minimum(slope_A[:, None] * p_K, q_K).sum(axis=1)
    return PRDCurve(precision.clip(0, 1), (precision / slope_A).clip(0, 1))


def max_f_beta(curve: PRDCurve, beta: float) -> float:
    """Largest F_beta = (1 + beta^2) P R / (beta^2 P + R) on the curve; 0 where P = R = 0."""
    weighted = beta**2 * curve.precision + curve.recall
    product = (1 + beta**2) * curve.precision * curve.recall
    return float(np.max(product / np.where(weighted > 0, weighted, 1.0)))


class PRDClusters(NamedTuple):
    """The cell of each row of either side in each run, int64 R,n."""

    real: NDArray[np.int64]
    fake: NDArray[np.int64]

    def shares(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Shares R,K of the real and of the generated rows."""
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


def prd_clusters(
    real_ND: NDArray[np.floating], fake_ND: NDArray[np.floating], seed: int
) -> PRDClusters:
    """10 clusterings of `real_ND` and `fake_ND` (float N1,D and N2,D).

    Both sides get the same number of rows: the larger one is thinned at random. Raises
    `InputError` when the dimensions differ or a value is not finite.
    """
    if real_ND.shape[1] != fake_ND.shape[1]:
        raise InputError(
            f"features of {real_ND.shape[1]} and {fake_ND.shape[1]} dimensions cannot be compared"
        )
    rng = np.random.default_rng(seed)
    n = min(len(real_ND), len(fake_ND))
    sides = [
        side if len(side) == n else side[np.sort(rng.choice(len(side), n, replace=False))]
        for side in (real_ND, fake_ND)
    ]
    labels_RN = _cluster(_normalised(np.concatenate(sides)), rng)
    return PRDClusters(labels_RN[:, :n], labels_RN[:, n:])


def _normalised(f_ND: NDArray[np.floating]) -> torch.Tensor:
    """Float32 rows about their mean, none larger than 1: k-means minds neither."""
    x_ND = f_ND.astype(np.float64)
    x_ND -= x_ND.mean(axis=0)
    largest = np.abs(x_ND).max()
    if not np.isfinite(largest):
        raise InputError("features hold NaN or infinite values")
    return torch.from_numpy((x_ND / (largest or 1.0)).astype(np.float32))


def _cluster(x_ND: torch.Tensor, rng: np.random.Generator) -> NDArray[np.int64]:
    """Labels R,N of RUNS k-means clusterings, all advanced together."""
    centres = torch.stack([_best_draft(x_ND, rng) for _ in range(RUNS)])  # R,K,D
    labels = _nearest(x_ND, centres)
    for _ in range(LLOYD_STEPS):
        member_NRK = torch.zeros(len(x_ND), RUNS, CLUSTERS)
        member_NRK.scatter_(2, labels.unsqueeze(2), 1.0)
        size_RK = member_NRK.sum(dim=0)
        sums = (member_NRK.view(len(x_ND), -1).T @ x_ND).view_as(centres)
        filled = (size_RK > 0).unsqueeze(2)  # an empty cell keeps its centre
        centres = torch.where(filled, sums / size_RK.clamp(min=1).unsqueeze(2), centres)
        previous, labels = labels, _nearest(x_ND, centres)
        if torch.equal(previous, labels):
            break
    return labels.T.numpy()


def _nearest(x_ND: torch.Tensor, centres_RKD: torch.Tensor) -> torch.Tensor:
    """Index N,R of each row's nearest centre in each run."""
    flat = centres_RKD.flatten(0, 1)
    scores = torch.addmm(flat.square().sum(dim=1), x_ND, flat.T, alpha=-2)
    return scores.view(len(x_ND), *centres_RKD.shape[:2]).argmin(dim=2)


def _best_draft(x_ND: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """The k-means++ centres K,D (Arthur and Vassilvitskii 2007) of lowest inertia among DRAFTS,
    on one random set of rows.
    """
    rows = rng.choice(len(x_ND), min(DRAFT_ROWS, len(x_ND)), replace=False)
    s_ND = x_ND[torch.from_numpy(rows)]
    norm_N = s_ND.square().sum(dim=1)
    chosen = np.empty((DRAFTS, CLUSTERS), dtype=np.int64)
    chosen[:, 0] = rng.integers(len(s_ND), size=DRAFTS)
    nearest_CN = torch.full((DRAFTS, len(s_ND)), math.inf)
    for k in range(CLUSTERS):
        picked = torch.from_numpy(chosen[:, k])
        distance = norm_N[picked, None] + norm_N - 2 * s_ND[picked] @ s_ND.T
        nearest_CN = torch.minimum(nearest_CN, distance.clamp(min=0))
        if k + 1 < CLUSTERS:
            # Rows that coincide with a centre have no weight; the floor serves all-equal rows.
            bounds = (nearest_CN.double() + 1e-30).cumsum(dim=1)
            targets = torch.from_numpy(rng.random((DRAFTS, 1))) * bounds[:, -1:]
            chosen[:, k + 1] = (
                torch.searchsorted(bounds, targets).squeeze(1).clamp(max=len(s_ND) - 1)
            )
    best = int(nearest_CN.double().sum(dim=1).argmin())
    return s_ND[torch.from_numpy(chosen[best])]
