"""Distinct rows, and the expansion of neighbours among them to neighbours among all rows.

Exact duplicates are collapsed before any distance is computed. A thousand copies of one image then
cost the same as one, and cannot fill a tile with ties. Each class of equal rows lists its members
in order. Rows are equal when their values are: -0.0 and 0.0 are the same.

Shape legend: N rows, D features, U distinct rows, k neighbours.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import InputError
from bench.statistics.neighbours.results import NearestNeighbours


def _digest(row: NDArray[np.float32]) -> bytes:
    """Return 128 bits of the row's values; adding 0.0 makes -0.0 and 0.0 the same."""
    return hashlib.blake2b((row + np.float32(0)).tobytes(), digest_size=16).digest()


@dataclass(frozen=True)
class DistinctRows:
    """The distinct rows of a set, in order of first appearance, and the classes of equal rows."""

    rows: Tensor  # U,D float32 on the device
    class_of: NDArray[np.int64]  # N -> U
    counts: NDArray[np.int64]  # U
    first: NDArray[np.int64]  # U -> N

    @classmethod
    def of(cls, f_ND: NDArray[np.float32], name: str, device: torch.device) -> DistinctRows:
        """Return the distinct rows of `f_ND`, placed on `device`.

        Raises `InputError` with `name` in its message for a wrong shape and for values that are
        not finite.
        """
        if f_ND.ndim != 2 or 0 in f_ND.shape:
            raise InputError(f"{name} must have shape N,D with N, D >= 1, got {f_ND.shape}")
        rows = np.ascontiguousarray(f_ND, dtype=np.float32)
        if not np.isfinite(rows).all():
            raise InputError(f"{name} hold NaN or infinite values")
        seen: dict[bytes, int] = {}
        class_of = np.array([seen.setdefault(_digest(row), len(seen)) for row in rows], np.int64)
        _, first, counts = np.unique(class_of, return_index=True, return_counts=True)
        if len(first) < len(rows):
            rows = rows[first]
        elif not rows.flags.writeable:  # torch warns about sharing read-only memory
            rows = rows.copy()
        return cls(torch.from_numpy(rows).to(device), class_of, counts, first)

    def members(self, k: int) -> NDArray[np.int64]:
        """Return the first k rows of each class, ascending, U,k; -1 where it has fewer."""
        order = np.argsort(self.class_of, kind="stable")
        start = np.cumsum(self.counts) - self.counts
        rank = np.arange(len(order)) - start[self.class_of[order]]
        table = np.full((len(self.counts), k), -1, np.int64)
        few = rank < k
        table[self.class_of[order][few], rank[few]] = order[few]
        return table


def expanded(
    found: NearestNeighbours,
    points: DistinctRows,
    base: DistinctRows,
    k: int,
    *,
    exclude_self: bool,
) -> NearestNeighbours:
    """Return neighbours among all rows from neighbours among distinct rows.

    The k nearest distinct rows, by distance and first member, hold the k nearest rows among their
    members.
    """
    if not exclude_self and len(base.first) == len(base.class_of):
        return found.at(points.class_of)
    if exclude_self and len(base.first) == len(base.class_of):
        return found
    d_Uk, classes_Uk = found
    if exclude_self:  # the row's own duplicates come at distance 0
        own = np.arange(len(d_Uk))[:, None]
        d_Uk = np.concatenate([np.zeros_like(d_Uk, shape=(len(own), 1)), d_Uk], axis=1)
        classes_Uk = np.concatenate([own, classes_Uk], axis=1)
    members = base.members(k + 1)
    k = min(k, len(base.class_of) - int(exclude_self))
    distances = np.empty((len(points.class_of), k), np.float32)
    indices = np.empty((len(points.class_of), k), np.int64)
    for start in range(0, len(distances), 4096):
        of = points.class_of[start : start + 4096]
        rows = np.arange(start, start + len(of))[:, None]
        index = members[classes_Uk[of]].reshape(len(of), -1)
        distance = np.repeat(d_Uk[of], members.shape[1], axis=1)
        distance[(index < 0) | (exclude_self & (index == rows))] = np.inf
        order = np.lexsort((index, distance))[:, :k]
        distances[rows[:, 0]] = np.take_along_axis(distance, order, axis=1)
        indices[rows[:, 0]] = np.take_along_axis(index, order, axis=1)
    return NearestNeighbours(distances, indices)
