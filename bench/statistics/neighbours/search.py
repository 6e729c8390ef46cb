"""Nearest neighbours of one set in another, and the pass that all neighbour metrics share.

Both agree with the definitions computed as full float64 matrices
(tests/statistics/neighbours/test_search.py) in every index, count and bit of a float32 distance,
and with scikit-learn's `NearestNeighbors` in float64 to the last bit of float32 (1e-7).

Shape legend: N real rows, M fake rows, D features, U and V distinct rows, k neighbours.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bench.errors import InputError
from bench.runtime.devices import strict_float32
from bench.statistics.neighbours.balls import Balls
from bench.statistics.neighbours.distinct import DistinctRows, expanded
from bench.statistics.neighbours.results import (
    K_BALL,
    K_NEAREST,
    NearestNeighbours,
    NeighbourPass,
)
from bench.statistics.neighbours.scan import Scan


def _check_widths(query: DistinctRows, base: DistinctRows) -> None:
    if query.rows.shape[1] != base.rows.shape[1]:
        raise InputError(
            f"the two sets have {query.rows.shape[1]} and {base.rows.shape[1]} features per row"
        )


def _radius(nearest: NearestNeighbours, k: int) -> NDArray[np.float32]:
    """Return the distance to the k-th neighbour, -1 where there is none."""
    if nearest.distances.shape[1] < k:
        return np.full(len(nearest.distances), -1, np.float32)
    return np.ascontiguousarray(nearest.distances[:, k - 1])


def _within(points: DistinctRows, k: int, tile_rows: int | None) -> NearestNeighbours:
    """Return the k nearest rows of each row in its own set, itself excluded."""
    k_distinct = min(k, len(points.rows) - 1)
    scan = Scan(points.rows, points.rows, k_distinct, k_distinct, None)
    if k_distinct:
        scan.run(tile_rows)
    return expanded(scan.nearest_x.numpy(), points, points, k, exclude_self=True)


def nearest_neighbours(
    query: NDArray[np.float32],
    base: NDArray[np.float32],
    k: int,
    *,
    exclude_self: bool = False,
    device: str = "cpu",
    tile_rows: int | None = None,
) -> NearestNeighbours:
    """Return the k nearest rows of `base` (N,D float32) for each row of `query` (M,D float32).

    The result is exact, ties go to the lower index, and there are fewer than k neighbours when
    `base` has fewer rows. With `exclude_self`, `query` and `base` must be the same set, and a row
    is not its own neighbour. `tile_rows` changes time and memory, not the result. Raises
    `InputError` for shapes that do not fit and for values that are not finite. Agrees with
    scikit-learn's brute-force `NearestNeighbors` in float64.

    >>> base = np.array([[0.0], [1.0], [3.0]], np.float32)
    >>> nearest = nearest_neighbours(np.array([[2.5]], np.float32), base, k=2)
    >>> nearest.indices.tolist(), nearest.distances.tolist()
    ([[2, 1]], [[0.5, 1.5]])
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    on = torch.device(device)
    points = DistinctRows.of(query, "query features", on)
    with strict_float32():
        if exclude_self:
            if query is not base and not np.array_equal(query, base):
                raise InputError("exclude_self needs query and base to be the same rows")
            return _within(points, k, tile_rows)
        among = DistinctRows.of(base, "base features", on)
        _check_widths(points, among)
        scan = Scan(points.rows, among.rows, min(k, len(among.rows)), 0, None)
        scan.run(tile_rows)
        return expanded(scan.nearest_x.numpy(), points, among, k, exclude_self=False)


def neighbour_pass(
    real: NDArray[np.float32],
    fake: NDArray[np.float32],
    *,
    real_nearest: NearestNeighbours | None = None,
    device: str = "cpu",
    tile_rows: int | None = None,
) -> NeighbourPass:
    """Return neighbours and ball membership of `real` (N,D float32) and `fake` (M,D float32).

    `real_nearest` may be the stored result of `nearest_neighbours(real, real, 5,
    exclude_self=True)`, which saves a third of the work and gives the same pass. Raises
    `InputError` as `nearest_neighbours` does, and when `real_nearest` does not have the size of
    these reals.

    >>> real = np.array([[0.0], [1.0], [2.0], [3.0]], np.float32)
    >>> fake = np.array([[1.5], [9.0]], np.float32)
    >>> neighbour_pass(real, fake).in_real_ball.tolist()
    [True, False]
    """
    on = torch.device(device)
    reals = DistinctRows.of(real, "real features", on)
    fakes = DistinctRows.of(fake, "fake features", on)
    _check_widths(fakes, reals)
    needed = len(real), min(K_NEAREST, len(real) - 1)
    if real_nearest is not None and (
        len(real_nearest.distances) != needed[0] or real_nearest.distances.shape[1] < needed[1]
    ):
        raise InputError(
            f"stored neighbours of the reals have shape {real_nearest.distances.shape}, "
            f"these reals need {needed}; build the reference again"
        )
    with strict_float32():
        if real_nearest is None:
            real_nearest = _within(reals, K_NEAREST, tile_rows)
        else:
            distances, indices = real_nearest
            real_nearest = NearestNeighbours(distances[:, : needed[1]], indices[:, : needed[1]])
        fake_nearest = _within(fakes, K_NEAREST, tile_rows)
        r3_N = _radius(real_nearest, K_BALL)
        pruned = r3_N > np.median(r3_N)
        balls = Balls(
            torch.from_numpy(r3_N[reals.first]).to(on),
            torch.from_numpy(_radius(real_nearest, K_NEAREST)[reals.first]).to(on),
            torch.from_numpy(pruned[reals.first]).to(on),
            torch.from_numpy(reals.counts).to(on),
            torch.from_numpy(_radius(fake_nearest, K_BALL)[fakes.first]).to(on),
        )
        scan = Scan(
            reals.rows,
            fakes.rows,
            min(K_NEAREST, len(fakes.rows)),
            min(K_NEAREST, len(reals.rows)),
            balls,
        )
        scan.run(tile_rows)
    in_fake_U = torch.empty_like(balls.in_fake_U)
    in_fake_U[balls.order] = balls.in_fake_U
    return NeighbourPass(
        real_nearest=real_nearest,
        fake_nearest=fake_nearest,
        fake_to_real=expanded(scan.nearest_y.numpy(), fakes, reals, K_NEAREST, exclude_self=False),
        real_to_fake=expanded(scan.nearest_x.numpy(), reals, fakes, K_NEAREST, exclude_self=False),
        in_real_ball=balls.in_real_V.cpu().numpy()[fakes.class_of],
        in_fake_ball=in_fake_U.cpu().numpy()[reals.class_of],
        num_real_balls=balls.num_V.cpu().numpy()[fakes.class_of],
        realism=balls.realism_V.cpu().numpy()[fakes.class_of],
    )
