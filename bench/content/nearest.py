"""Pairs of images with near descriptors, between a folder and a training set or within a folder.

The search is exact. If two descriptors are within a radius under any shift, so are their
amplitudes; if two amplitudes are within a radius, so are their leading coordinates. The training
set is therefore cut into strips along one direction and sorted along another. Each query meets only
a few slices of it, in matrix products of 24 dimensions, and the few remaining pairs are compared
under every shift.

Shape legend: n, m images, D dimensions of a descriptor, A amplitudes, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.content.descriptors import amplitudes, shifted

SHIFTS = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1))
NUM_STRIPS = 32
QUERY_BLOCK = 64
LEADER_BLOCK = 512
ROUNDING = 1e-4  # the error of float32 products of rows of length 1 is smaller

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


class Pairs(NamedTuple):
    """P pairs, sorted by query: rows `query` and `base` (int64 P) and `distance` (float32 P)."""

    query: I64
    base: I64
    distance: F32


class NearIndex:
    """An index of the descriptors of one set (float32 m,D) for searches by radius."""

    def __init__(self, d_mD: F32) -> None:
        self.descriptors = d_mD
        rows = np.flatnonzero(d_mD.any(axis=1))
        a_mA = amplitudes(d_mD[rows])
        self.directions = _leading(a_mA)
        a_m2 = a_mA @ self.directions
        self.strips: F32 = np.empty(0, np.float32)
        if len(rows):
            self.strips = np.quantile(a_m2[:, 0], np.linspace(0, 1, NUM_STRIPS + 1)[1:-1])
        order, self.starts = _in_strips(a_m2, self.strips)
        self.rows = rows[order]
        self.amplitudes, self.places = a_mA[order], a_m2[order]
        self.norms = (self.amplitudes**2).sum(axis=1)

    def pairs(self, query_nD: F32, radius: float, *, height: int, width: int) -> Pairs:
        """Return every pair of a row of `query_nD` and a row of this set within `radius`.

        The distance is the smallest over shifts of the query by up to 1 px each way; `height` and
        `width` are those of the images. Zeros, the descriptors of images without contrast, pair
        with nothing.
        """
        queries = np.flatnonzero(query_nD.any(axis=1))
        a_nA = amplitudes(query_nD[queries])
        a_n2 = a_nA @ self.directions
        order, starts = _in_strips(a_n2, self.strips)
        queries, a_nA, a_n2 = queries[order], a_nA[order], a_n2[order]
        norms = (a_nA**2).sum(axis=1)
        nothing = np.empty(0, np.int64)
        found_q, found_b = [nothing], [nothing]
        for rows in _blocks(starts):
            low = a_n2[rows].min(axis=0) - radius - ROUNDING
            high = a_n2[rows].max(axis=0) + radius + ROUNDING
            limit = (radius**2 + ROUNDING - norms[rows])[:, None]
            left, right = np.searchsorted(self.strips, (low[0], high[0])).tolist()
            for strip in range(left, right + 1):
                start, stop = self.starts[strip], self.starts[strip + 1]
                within = np.searchsorted(self.places[start:stop, 1], (low[1], high[1]))
                first, last = (start + within).tolist()
                squared = a_nA[rows] @ self.amplitudes[first:last].T
                squared *= -2
                squared += self.norms[first:last]
                i, j = np.divmod(np.flatnonzero(squared <= limit), max(last - first, 1))
                found_q.append(queries[i + rows.start])
                found_b.append(self.rows[j + first])
        q, b = np.concatenate(found_q), np.concatenate(found_b)
        distance = _least_distance(query_nD, self.descriptors, q, b, height=height, width=width)
        is_near = distance <= radius
        q, b, distance = q[is_near], b[is_near], distance[is_near]
        order = np.lexsort((b, q))
        return Pairs(q[order], b[order], distance[order])


def _leading(x_mA: F32) -> F32:
    """Return the two directions of largest variance among the first 5,000 rows, A,2."""
    part = x_mA[:5_000].astype(np.float64)
    part -= part.sum(axis=0) / max(len(part), 1)
    return np.asarray(np.linalg.eigh(part.T @ part)[1][:, :-3:-1], np.float32)


def _in_strips(x_m2: F32, strips: F32) -> tuple[I64, I64]:
    """Return the order of points by strip of the first coordinate, then by the second coordinate,
    and where each strip begins in it, followed by the end.
    """
    strip = np.searchsorted(strips, x_m2[:, 0])
    order = np.lexsort((x_m2[:, 1], strip))
    return order, np.searchsorted(strip[order], np.arange(len(strips) + 2))


def _blocks(starts: I64) -> Iterator[slice]:
    """Yield slices of at most `QUERY_BLOCK` neighbouring rows of one strip."""
    for start, stop in pairwise(starts.tolist()):
        for first in range(start, stop, QUERY_BLOCK):
            yield slice(first, min(first + QUERY_BLOCK, stop))


def _least_distance(query_nD: F32, base_mD: F32, q: I64, b: I64, *, height: int, width: int) -> F32:
    """Return the smallest distance of each pair over `SHIFTS` of its query, float32 P."""
    least = np.full(len(q), np.inf, np.float32)
    rows, place = np.unique(q, return_inverse=True)
    for down, right in SHIFTS:
        moved = shifted(query_nD[rows], down, right, height=height, width=width)
        for start in range(0, len(q), 1 << 16):
            part = slice(start, start + (1 << 16))
            apart = moved[place[part]] - base_mD[b[part]]
            distance = np.sqrt(np.einsum("ij,ij->i", apart, apart))
            least[part] = np.minimum(least[part], distance)
    return least


class Groups(NamedTuple):
    """Groups of near images: their `sizes` (int64, largest first), and for each image the row of
    the `leader` of its group (int64 n), which is its own row if it is alone.
    """

    sizes: I64
    leader: I64

    def members(self, rank: int) -> I64:
        """Return the rows of the group with this rank by size, counted from 0."""
        leaders, counts = np.unique(self.leader, return_counts=True)
        order = np.lexsort((leaders, -counts))
        return np.flatnonzero(self.leader == leaders[order[rank]])


def near_groups(d_nD: F32, radius: float) -> Groups:
    """Group images by leaders: each in turn joins the nearest leader within `radius`, or becomes
    one. Images without contrast (zeros) stay alone.
    """
    n = len(d_nD)
    leader = np.arange(n)
    leaders = np.empty(0, np.int64)
    limit = 1 - radius**2 / 2  # |a - b|^2 = 2 - 2 a.b for rows of length 1
    with_contrast = np.flatnonzero(d_nD.any(axis=1))
    for start in range(0, len(with_contrast), LEADER_BLOCK):
        rows = with_contrast[start : start + LEADER_BLOCK]
        block = d_nD[rows]
        open_rows = np.arange(len(rows))
        if len(leaders):
            close = block @ d_nD[leaders].T
            best = close.argmax(axis=1)
            joins = close[np.arange(len(rows)), best] >= limit
            leader[rows[joins]] = leaders[best[joins]]
            open_rows = np.flatnonzero(~joins)
        new = _leaders_of(block[open_rows], limit)
        leader[rows[open_rows]] = rows[open_rows[new]]
        leaders = np.concatenate([leaders, rows[open_rows[np.unique(new)]]])
    counts = np.unique(leader, return_counts=True)[1]
    return Groups(np.sort(counts[counts > 1])[::-1].astype(np.int64), leader)


def _leaders_of(block: F32, limit: float) -> I64:
    """Group a few rows among themselves; return the place of each one's leader."""
    close: F32 = block @ block.T
    near: NDArray[np.bool_] = np.asarray(close >= limit)
    place = np.arange(len(block))
    is_leader = np.logical_not(np.tril(near, -1).any(axis=1))  # no earlier row is near
    for i in np.flatnonzero(~is_leader):
        before = np.flatnonzero(near[i, :i] & is_leader[:i])
        if len(before):
            place[i] = before[close[i, before].argmax()]
        else:
            is_leader[i] = True
    return place


def nearest_other(d_nD: F32) -> F32:
    """Return the distance of each image to the nearest other one, float32 n.

    It is NaN for an image without contrast, and if there is no other.
    """
    out = np.full(len(d_nD), np.nan, np.float32)
    rows = np.flatnonzero(d_nD.any(axis=1))
    if len(rows) < 2:
        return out
    d = d_nD[rows]
    for start in range(0, len(rows), LEADER_BLOCK):
        close = d[start : start + LEADER_BLOCK] @ d.T
        close[np.arange(len(close)), np.arange(start, start + len(close))] = -1
        out[rows[start : start + LEADER_BLOCK]] = np.sqrt(np.maximum(2 - 2 * close.max(axis=1), 0))
    return out
