"""The cells of C_T: k-means with k-means++ starts (Arthur and Vassilvitskii 2007).

Shape legend: N rows, D features, K cells.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

CELLS = 3
CELL_SEED = 2020
DRAFTS = 10
DRAFT_ROWS = 3072
LLOYD_STEPS = 50


class Cells:
    """A division of feature space into 3 cells by k-means on `train_ND` (float32), seed fixed."""

    def __init__(self, train_ND: NDArray[np.float32]) -> None:
        import torch

        self._mean = train_ND.mean(axis=0, dtype=np.float64)
        low, high = train_ND.min(axis=0), train_ND.max(axis=0)
        self._scale = float(np.maximum(high - self._mean, self._mean - low).max()) or 1.0
        x_ND = self._scaled(train_ND)
        self._centres_KD = _best_draft(x_ND, np.random.default_rng(CELL_SEED))
        labels = self._nearest(x_ND)
        for _ in range(LLOYD_STEPS):
            member_NK = torch.nn.functional.one_hot(labels, CELLS).to(x_ND.dtype)
            size_K = member_NK.sum(dim=0)[:, None]
            means_KD = member_NK.T @ x_ND / size_K.clamp(min=1)
            # an empty cell keeps its centre
            self._centres_KD = torch.where(size_K > 0, means_KD, self._centres_KD)
            previous, labels = labels, self._nearest(x_ND)
            if torch.equal(previous, labels):
                break

    def of(self, f_ND: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the cell of each row, int64 N."""
        return self._nearest(self._scaled(f_ND)).numpy()

    def _scaled(self, f_ND: NDArray[np.float32]) -> Tensor:
        """Return the rows centred on the train images and scaled, which k-means is invariant to."""
        import torch

        return torch.from_numpy(((f_ND - self._mean) / self._scale).astype(np.float32))

    def _nearest(self, x_ND: Tensor) -> Tensor:
        import torch

        norm_K = self._centres_KD.square().sum(dim=1)
        return torch.addmm(norm_K, x_ND, self._centres_KD.T, alpha=-2).argmin(dim=1)


def _best_draft(x_ND: Tensor, rng: np.random.Generator) -> Tensor:
    """Return the k-means++ centres K,D of lowest inertia among DRAFTS."""
    import torch

    s_ND = x_ND[torch.from_numpy(rng.permutation(len(x_ND))[:DRAFT_ROWS])]
    best, least = s_ND[:CELLS], math.inf
    for _ in range(DRAFTS):
        chosen = [int(rng.integers(len(s_ND)))]
        nearest_N = (s_ND - s_ND[chosen[0]]).square().sum(dim=1).double()
        while len(chosen) < CELLS:
            # rows that coincide with a centre have no weight; the floor is for all-equal rows
            bounds = (nearest_N + 1e-30).cumsum(dim=0).numpy()
            row = int(np.searchsorted(bounds, rng.random() * bounds[-1]))
            chosen.append(min(row, len(s_ND) - 1))
            distance_N = (s_ND - s_ND[chosen[-1]]).square().sum(dim=1).double()
            nearest_N = torch.minimum(nearest_N, distance_N)
        inertia = float(nearest_N.sum())
        if inertia < least:
            best, least = s_ND[chosen], inertia
    return best.clone()
