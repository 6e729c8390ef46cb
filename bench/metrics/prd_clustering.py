"""The k-means clusterings behind the PRD curve.

The authors' program clusters with scikit-learn's MiniBatchKMeans (n_init 10). It takes 2 to 7 s
for each of the 10 runs on two busy cores (10,000 images a side, D=128), where this takes 0.4 to
2 s for all. It starts in the same way (the best of 10 k-means++ drafts on 3,072 rows) and
continues with full Lloyd steps, all runs in one matrix product; and it does not change with the
version of a library. The two agree within the noise of the clusterings (0.01 in F for 1,500 images
a side in the tests).

Shape legend: N rows of both sides, D features, K cells, R runs, C drafts.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from bench.errors import InputError
from bench.metrics.prd import CLUSTERS, DRAFTS, RUNS, PRDClusters

DRAFT_ROWS = 3072  # scikit-learn's init_size: 3 batches of 1024
LLOYD_STEPS = 20


def prd_clusters(
    real_ND: NDArray[np.floating], fake_ND: NDArray[np.floating], seed: int
) -> PRDClusters:
    """Return 10 clusterings of `real_ND` and `fake_ND` (float N1,D and N2,D) together.

    The larger side is thinned at random to the size of the smaller one. Raises `InputError` when
    the dimensions differ or a value is not finite.
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
    """Return float32 rows, centred and scaled to at most 1, which k-means is invariant to."""
    x_ND = f_ND.astype(np.float64)
    x_ND -= x_ND.mean(axis=0)
    largest = np.abs(x_ND).max()
    if not np.isfinite(largest):
        raise InputError("features hold NaN or infinite values")
    return torch.from_numpy((x_ND / (largest or 1.0)).astype(np.float32))


def _cluster(x_ND: torch.Tensor, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the labels R,N of RUNS k-means clusterings, all advanced together."""
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
    """Return the index N,R of each row's nearest centre in each run."""
    flat = centres_RKD.flatten(0, 1)
    scores = torch.addmm(flat.square().sum(dim=1), x_ND, flat.T, alpha=-2)
    return scores.view(len(x_ND), *centres_RKD.shape[:2]).argmin(dim=2)


def _best_draft(x_ND: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return the k-means++ centres K,D of lowest inertia among DRAFTS, on a random set of rows.

    K-means++ is that of Arthur and Vassilvitskii 2007.
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
            # rows that coincide with a centre have no weight; the floor is for all-equal rows
            bounds = (nearest_CN.double() + 1e-30).cumsum(dim=1)
            targets = torch.from_numpy(rng.random((DRAFTS, 1))) * bounds[:, -1:]
            chosen[:, k + 1] = (
                torch.searchsorted(bounds, targets).squeeze(1).clamp(max=len(s_ND) - 1)
            )
    best = int(nearest_CN.double().sum(dim=1).argmin())
    return s_ND[torch.from_numpy(chosen[best])]
