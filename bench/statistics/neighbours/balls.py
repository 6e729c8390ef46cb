"""Ball membership and realism, decided by bounds where they suffice and by distances elsewhere.

A pair lies in a ball when its distance is at most the radius (precision, recall) or below it
(density). An upper bound clearly below a radius settles that at once (`classify`, `accept`). A pair
that the bounds leave open waits for its exact distance (`decide`). Realism is the largest
radius / distance, so a pair matters only while its bound may exceed the best ratio so far.

Shape legend: U real and V fake distinct rows at positions of the scan, B rows of a tile, W its
columns, P pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bench.statistics.neighbours.bounds import LARGE, TIE, Frame


class Pairs(NamedTuple):
    """Pairs of the positions i in x and j in y.

    `low` is the lower bound of the squared distance. `counts` says whether the count of
    5-neighbour balls waits for the exact distance, `decides` whether any ball does.
    """

    i: Tensor
    j: Tensor
    low: Tensor
    counts: Tensor
    decides: Tensor

    def where(self, mask: Tensor) -> Pairs:
        """Return the pairs that `mask` (bool P) selects."""
        return Pairs(*(part[mask] for part in self))


class Balls:
    """Ball membership of fakes V in real balls and of reals U in fake balls.

    Both are indexed by positions of the scan. Radii are float32 distances, -1 for a ball that does
    not exist.
    """

    def __init__(
        self, r3_U: Tensor, r5_U: Tensor, pruned_U: Tensor, weight_U: Tensor, f3_V: Tensor
    ) -> None:
        serves_U = ~pruned_U & (r3_U >= 0)  # for realism
        leads_U = serves_U & (r3_U > 0)  # may give a realism other than 1
        self.num_leading = int(leads_U.sum())
        # leading rows first, by falling radius: the rows of a tile have about the same radius
        self.order = torch.where(leads_U, r3_U, -1.0).argsort(descending=True, stable=True)
        self.r3_U, self.r5_U, self.f3_V = r3_U[self.order], r5_U[self.order], f3_V
        self.weight_U, self.serves_U = weight_U[self.order], serves_U[self.order]
        self.leads_U = leads_U[self.order]
        self.in_real_V = torch.zeros(len(f3_V), dtype=torch.bool, device=f3_V.device)
        self.in_fake_U = torch.zeros(len(r3_U), dtype=torch.bool, device=f3_V.device)
        self.num_V = torch.zeros(len(f3_V), dtype=torch.int64, device=f3_V.device)
        self.realism_V = torch.full_like(f3_V, 0.0 if bool(serves_U.any()) else torch.nan)

    def start(self, frame: Frame) -> None:
        """Convert the radii to squared distances of the scan's frame."""
        self.r3sq_U, self.r5sq_U, self.f3sq_V = (
            torch.where(r < 0, -1.0, frame.squared(r)) for r in (self.r3_U, self.r5_U, self.f3_V)
        )
        self.ratio_V = torch.full_like(self.f3sq_V, LARGE)  # least d^2 / r^2, from above

    def widen(
        self, limit_B: Tensor, limit_W: Tensor, rows: slice, upper_W: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return limits of rows and columns, raised to admit every pair a ball or realism may need.

        `upper_W` is an upper bound, for each column, of its least squared distance in this tile.
        """
        limit_W = torch.maximum(limit_W, (self.f3sq_V * (1 + 2 * TIE)).float())
        r3sq_B = self.r3sq_U[rows]
        if rows.start < self.num_leading:  # then all rows of the tile are leading
            self.ratio_V = torch.minimum(self.ratio_V, upper_W / r3sq_B[-1])
            limit_W = torch.maximum(limit_W, (self.ratio_V * r3sq_B[0] * (1 + 2 * TIE)).float())
        reach_B = torch.maximum(self.r5sq_U[rows], r3sq_B) * (1 + 2 * TIE)
        return torch.maximum(limit_B, reach_B.float()), limit_W

    def classify(self, pairs: Pairs, high: Tensor) -> tuple[Pairs, tuple[Tensor, ...]]:
        """Return the pairs, marked where a distance is needed, and masks of those surely inside."""
        i, j, low = pairs[:3]
        sure, waits = [], []
        for limit in (self.r3sq_U[i], self.r5sq_U[i], self.f3sq_V[j]):
            sure.append(high < limit * (1 - TIE))
            waits.append((low <= limit * (1 + TIE)) & ~sure[-1] & (limit >= 0))
        ratio = torch.where(self.leads_U[i], high / self.r3sq_U[i], torch.inf)
        self.ratio_V.scatter_reduce_(0, j, ratio, "amin")
        decides = waits[0] | waits[1] | waits[2]
        return pairs._replace(counts=waits[1], decides=decides), tuple(sure)

    def realism_waits(self, pairs: Pairs) -> Tensor:
        """Return which pairs may determine the realism of their fake."""
        r3sq = self.r3sq_U[pairs.i]
        return self.leads_U[pairs.i] & (pairs.low <= r3sq * self.ratio_V[pairs.j] * (1 + TIE))

    def accept(self, pairs: Pairs, sure: tuple[Tensor, ...]) -> None:
        """Record the pairs that are surely inside a ball."""
        in_r3, in_r5, in_f3 = sure
        self.in_real_V[pairs.j[in_r3]] = True
        self.in_fake_U[pairs.i[in_f3]] = True
        self.num_V.index_add_(0, pairs.j[in_r5], self.weight_U[pairs.i[in_r5]])

    def decide(self, pairs: Pairs, d_P: Tensor) -> None:
        """Record pairs whose exact distance `d_P` is known."""
        i, j = pairs.i, pairs.j
        self.in_real_V[j[d_P <= self.r3_U[i]]] = True
        self.in_fake_U[i[d_P <= self.f3_V[j]]] = True
        inside = pairs.counts & (d_P < self.r5_U[i])
        self.num_V.index_add_(0, j[inside], self.weight_U[i[inside]])
        ratio = torch.where((d_P == 0) & (self.r3_U[i] == 0), 1.0, self.r3_U[i] / d_P)
        serves = self.serves_U[i]
        self.realism_V.scatter_reduce_(0, j[serves], ratio[serves], "amax")
