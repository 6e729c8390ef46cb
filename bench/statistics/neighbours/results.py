"""Results of the distance pass. This file loads without torch.

Shape legend: N real rows, M fake rows, k neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

K_NEAREST = 5  # neighbours that a pass returns; the radius of density and coverage
K_BALL = 3  # the radius of precision, recall and realism


class NearestNeighbours(NamedTuple):
    """The k nearest rows of each query, ascending by distance and then by index.

    `distances` are Euclidean, float32 N,k; `indices` are rows of the base set, int64 N,k. k is
    smaller than requested when the base set is too small.
    """

    distances: NDArray[np.float32]
    indices: NDArray[np.int64]

    def at(self, rows: NDArray[np.int64]) -> NearestNeighbours:
        """Return the neighbours of the queries `rows`."""
        return NearestNeighbours(self.distances[rows], self.indices[rows])


@dataclass(frozen=True)
class NeighbourPass:
    """Neighbours and ball membership of two sets (N real, M fake), for all neighbour metrics.

    `real_nearest` and `fake_nearest` are the 5 nearest within a set, self excluded;
    `fake_to_real` are the 5 nearest reals of each fake, `real_to_fake` the 5 nearest fakes of each
    real. `in_real_ball` (bool M) says whether a fake lies in the ball of a real (radius to its
    3rd neighbour, `<=`), `in_fake_ball` (bool N) the same with the roles swapped.
    `num_real_balls` (int64 M) counts the real balls of 5 neighbours that hold a fake (`<`).
    `realism` (float32 M) is the largest radius / distance over the real balls (k = 3) whose radius
    is at most the median (Kynkaanniemi 2019, eq. 3). It is infinite when the fake coincides with
    such a real, and 1 when that real's own radius is 0 as well.

    Balls that do not exist hold nothing. With 3 reals or fewer, `in_real_ball` is false and
    `realism` NaN; with 5 or fewer, `num_real_balls` is 0; with 3 fakes or fewer, `in_fake_ball` is
    false. The metrics raise in these cases.
    """

    real_nearest: NearestNeighbours
    fake_nearest: NearestNeighbours
    fake_to_real: NearestNeighbours
    real_to_fake: NearestNeighbours
    in_real_ball: NDArray[np.bool_]
    in_fake_ball: NDArray[np.bool_]
    num_real_balls: NDArray[np.int64]
    realism: NDArray[np.float32]
