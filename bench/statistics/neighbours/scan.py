"""The scan: tiles of lower bounds, and the few pairs of each that need an exact distance.

A tile is one matrix product. Entries below the limit of their row, of their column or of a ball
become pairs. Pairs are collected; by the time there are enough, tightened limits rule out most of
them, and exact distances are computed for the rest. A tile with too many pairs is computed again
in float64. Within one set only the upper half of the matrix is computed; it serves rows and
columns.

Shape legend: D features, U and V distinct rows of x and y, B rows of a tile, W its columns, P
pairs, G groups, k neighbours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.statistics.neighbours.balls import Balls, Pairs
from bench.statistics.neighbours.bounds import (
    Frame,
    Limits,
    NearestSoFar,
    any_faint,
    as_query,
    exact_distances,
    rounding_slack,
)

TILE_ENTRIES = {"cpu": 2 << 20, "cuda": 64 << 20}  # 8 MiB stays in a CPU's cache
PENDING_PAIRS = 1 << 20  # pairs that wait for their exact distance


class Found(NamedTuple):
    """The pairs of one tile below some limit, masks of those surely in balls, and of those near."""

    pairs: Pairs
    sure: tuple[Tensor, ...]
    near: Tensor


class Scan:
    """One pass over the tiles of x (rows) against y (columns).

    With `x is y`, neighbours are within one set and each pair is visited once. `k_x` and `k_y` are
    the numbers of neighbours to find for each side.
    """

    def __init__(self, x_UD: Tensor, y_VD: Tensor, k_x: int, k_y: int, balls: Balls | None) -> None:
        self.x_UD, self.y_VD, self.balls = x_UD, y_VD, balls
        self.within = x_UD is y_VD
        self.frame = Frame.around(x_UD, y_VD)
        device = x_UD.device
        self.limits_x, self.nearest_x = (
            Limits(len(x_UD), k_x, device),
            NearestSoFar(len(x_UD), k_x, device),
        )
        self.limits_y, self.nearest_y = self.limits_x, self.nearest_x
        if not self.within:
            self.limits_y = Limits(len(y_VD), k_y, device)
            self.nearest_y = NearestSoFar(len(y_VD), k_y, device)
        self.columns = bool(k_y) or balls is not None or self.within  # whether columns need pairs
        self.order, self.num_leading = torch.arange(len(x_UD), device=device), 0
        if balls is not None:
            self.order, self.num_leading = balls.order, balls.num_leading
            balls.start(self.frame)
        self.base_VD, self.norm_V = self.frame.operand(y_VD, torch.float32)
        self.faint = any_faint(self.norm_V)
        self.norm_U = torch.zeros(len(x_UD), dtype=torch.float64, device=device)
        self.buffer = torch.empty(0, device=device)
        self.pending: list[Pairs] = []

    def run(self, tile_rows: int | None) -> None:
        """Visit every pair once.

        `tile_rows` is the number of rows of a tile, chosen for the device by default. It changes
        time and memory only.
        """
        num_x, num_y = len(self.x_UD), len(self.y_VD)
        start = number = 0
        while start < num_x:
            width = num_y - start if self.within else num_y
            step = tile_rows or self._tile_rows(width)
            stop = min(start + step, self.num_leading if start < self.num_leading else num_x)
            rows, number = slice(start, stop), number + 1
            # bounds of columns tighten slowly: refresh them after 1, 2, 4, ... tiles
            found = self._tile(rows, torch.float32, refresh=number & (number - 1) == 0)
            if int(found.near.sum()) > (stop - start) * width // 32 + 16 * (stop - start + width):
                found = self._tile(rows, torch.float64, refresh=True)
            if self.balls is not None:
                self.balls.accept(found.pairs, found.sure)
            self.pending.append(found.pairs.where(found.near))
            if sum(len(pairs.i) for pairs in self.pending) > PENDING_PAIRS:
                self._settle()
            start = stop
        self._settle()

    def _tile_rows(self, width: int) -> int:
        rows = max(128, TILE_ENTRIES.get(self.x_UD.device.type, TILE_ENTRIES["cpu"]) // width)
        # within a set, half of the first square of a tile is computed for nothing
        return min(rows, max(128, len(self.x_UD) // 16)) if self.within else rows

    def _product(self, rows: slice, columns: slice, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return lower bounds of squared distances B,W (`dtype` or better) and squared norms B."""
        x_BD = self.x_UD[self.order[rows]]
        query, norm_B = self.frame.operand(x_BD, dtype)
        if self.faint or any_faint(norm_B):
            dtype = torch.float64
            query, norm_B = self.frame.operand(x_BD, dtype)
        as_query(query)
        if dtype == torch.float64:  # rare, and large in memory: the columns in blocks
            y_WD = self.y_VD[columns]
            blocks = (y_WD[at : at + 1024] for at in range(0, len(y_WD), 1024))
            parts = [query @ self.frame.operand(block, dtype)[0].T for block in blocks]
            return torch.cat(parts, dim=1), norm_B
        shape = len(query), columns.stop - columns.start
        if len(self.buffer) < shape[0] * shape[1]:
            self.buffer = torch.empty(shape[0] * shape[1], device=query.device)
        tile = self.buffer[: shape[0] * shape[1]].view(shape)
        return torch.mm(query, self.base_VD[columns].T, out=tile), norm_B

    def _tile(self, rows: slice, dtype: torch.dtype, *, refresh: bool) -> Found:
        """Return the pairs of one tile that may be needed, after all limits have been updated.

        With `refresh` the limits of columns are tightened as well.
        """
        columns = slice(rows.start if self.within else 0, len(self.y_VD))
        tile, norm_B = self._product(rows, columns, dtype)
        num_rows, width = tile.shape
        if self.within:  # each pair once, and no point with itself
            square = torch.ones((num_rows, num_rows), dtype=torch.bool, device=tile.device)
            tile[:, :num_rows].masked_fill_(square.tril_(), torch.inf)
        norm_W = self.norm_V[columns]
        self.norm_U[rows] = norm_B
        twice = 2 * rounding_slack(self.x_UD.shape[1], tile.dtype)  # from lower to upper bound
        self.limits_x.see(tile, 1, rows, twice * (norm_B + norm_W.max()))
        if self.columns:
            upper_GW = self.limits_y.see(tile, 0, columns, twice * (norm_W + norm_B.max()))
            if refresh:
                self.limits_y.refresh(columns)
        limit_W = self.limits_y.limit_U[columns]
        limit_B = self.limits_x.refresh(rows)
        if self.balls is not None:
            limit_B, limit_W = self.balls.widen(limit_B, limit_W, rows, upper_GW.amin(dim=0))
        mask = tile <= limit_B[:, None]
        if self.columns:
            mask |= tile <= limit_W
        flat = _true(mask)
        low = tile.view(-1)[flat].double()
        i = flat // width
        j = flat - i * width + columns.start
        i += rows.start
        pairs = Pairs(i, j, low, *torch.zeros((2, len(i)), dtype=torch.bool, device=i.device))
        sure: tuple[Tensor, ...] = ()
        if self.balls is not None:
            pairs, sure = self.balls.classify(
                pairs, low + twice * (self.norm_U[i] + self.norm_V[j])
            )
        return Found(pairs, sure, self._near(pairs))

    def _near(self, pairs: Pairs) -> Tensor:
        """Return which pairs need an exact distance, by the current limits."""
        near = pairs.decides | (pairs.low <= self.limits_x.limit_U[pairs.i])
        if self.columns:
            near |= pairs.low <= self.limits_y.limit_U[pairs.j]
        if self.balls is not None:
            near |= self.balls.realism_waits(pairs)
        return near

    def _settle(self) -> None:
        """Compute the exact distances of the pending pairs and record them."""
        if not self.pending:
            return
        every = slice(0, None)
        self.limits_y.refresh(every)
        pairs = Pairs(*(torch.cat(parts) for parts in zip(*self.pending, strict=True)))
        pairs = pairs.where(self._near(pairs))
        self.pending = []
        x = self.order[pairs.i]
        d_P = exact_distances(self.x_UD, self.y_VD, x, pairs.j)
        if self.within:
            self.nearest_x.merge(
                torch.cat([x, pairs.j]), torch.cat([pairs.j, x]), torch.cat([d_P, d_P])
            )
        else:
            self.nearest_x.merge(x, pairs.j, d_P)
            self.nearest_y.merge(pairs.j, x, d_P)
        self.limits_x.tighten(self.frame.squared(self.nearest_x.distances[self.order]))
        self.limits_y.tighten(self.frame.squared(self.nearest_y.distances))
        if self.balls is not None:
            self.balls.decide(pairs, d_P)


def _true(mask: Tensor) -> Tensor:
    """Return flat positions of true entries; on a CPU by NumPy, much faster than torch there."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.view(-1).nonzero()[:, 0]
