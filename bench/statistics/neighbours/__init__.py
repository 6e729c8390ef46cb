"""One exact distance pass that serves every nearest-neighbour metric.

Squared distances come from tiles of one matrix product, `[-2x, 1, |x|^2] . [y, |y|^2, 1]`, after
both sets are centred. Float32 products carry rounding of the size of the norms, which decides
nothing here: the tile holds the **lower bound** of each squared distance, and every decision that
the bound leaves open is taken on the distance itself: the float64 sum of squared differences of
the original rows, its root rounded to float32. So neighbours, ball membership and counts do not
depend on tile, order, device or centring; two distances that are equal in float32 are a tie, and
ties go to the lower index. A tile that leaves too much open (many near-duplicates far from the
mean) is done again in float64; exact duplicates are collapsed first and counted by multiplicity.

Memory is O(N D) plus a tile; an N x N matrix never exists.

Each file imports those above it only:

    distinct  a result, the distinct rows of a set, and results among those -> among all rows
    bounds    how far a product may be off, the distances that decide, the k nearest so far
    balls     which points lie in which balls, and realism
    scan      one pass over the tiles of two sets
    search    the two functions that metrics and references call
"""

from __future__ import annotations

from bench.statistics.neighbours.distinct import NearestNeighbours
from bench.statistics.neighbours.search import (
    K_BALL,
    K_NEAREST,
    NeighbourPass,
    nearest_neighbours,
    neighbour_pass,
)

__all__ = [
    "K_BALL",
    "K_NEAREST",
    "NearestNeighbours",
    "NeighbourPass",
    "nearest_neighbours",
    "neighbour_pass",
]
