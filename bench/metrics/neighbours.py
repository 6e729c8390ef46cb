"""One exact distance pass that serves every nearest-neighbour metric.

Squared distances come from tiles of one matrix product, `[-2x, 1, |x|^2] . [y, |y|^2, 1]`, after
both sets are centred. Float32 products carry rounding of the size of the norms, which decides
nothing here: with `s = eps (D + 8)` the rounding of a product is at most `s (|x|^2 + |y|^2)`
(Higham, Accuracy and Stability of Numerical Algorithms, 2002; and the rounding of centring
and norms), the tile holds the **lower bound** of each squared distance, and every decision that
the bound leaves open is taken on the distance itself: the float64 sum of squared differences of
the original rows, its root rounded to float32. So neighbours, ball membership and counts do not
depend on tile, order, device or centring; two distances that are equal in float32 are a tie, and
ties go to the lower index. A tile that leaves too much open (many near-duplicates far from the
mean) is done again in float64; exact duplicates are collapsed first and counted by multiplicity.

Candidates for the k nearest are found without sorting a tile: the minima of 32 disjoint groups of
a row bound its k-th smallest value, and one comparison keeps the few entries below. Within a set
only the upper half of the matrix is computed and serves rows and columns. Memory is O(N D) plus a
tile; an N x N matrix never exists.

Products run in strict float32 (`torch.set_float32_matmul_precision("highest")` for their
duration): TF32 or bfloat16 would break the bound.

Shape legend: N real rows, M fake rows, D features, U and V distinct rows, B rows of a tile, W its
columns, P pairs, G groups, k neighbours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import InputError

K_NEAREST = 5  # neighbours kept by a pass; the radius of density and coverage
K_BALL = 3  # the radius of precision, recall and realism
GROUPS = 32  # disjoint groups whose minima bound the k-th smallest distance
TILE_ENTRIES = {"cpu": 2 << 20, "cuda": 64 << 20}  # 8 MiB stays in a CPU's cache
EXACT_ENTRIES = 1 << 19  # float64 entries of a block of exact differences
PENDING_PAIRS = 1 << 20  # pairs that wait for their exact distance
LARGE = 1e30  # above every squared distance of scaled rows
TINY = 1e-35  # smaller bounds would be rounded coarsely in float32
FAINT = 1e-25  # rows with smaller squared norms (scaled) would underflow in float32 products
TIE = 1e-6  # relative width, in squared distance, of what float32 distances may tie


class NearestNeighbours(NamedTuple):
    """The k nearest, ascending by distance and then by index.

    `distances`: float32 N,k Euclidean; `indices`: int64 N,k rows of the base set. k is smaller
    than asked for when the base set is too small.
    """

    distances: NDArray[np.float32]
    indices: NDArray[np.int64]

    def at(self, rows: NDArray[np.int64]) -> NearestNeighbours:
        """Those of the queries `rows`."""
        return NearestNeighbours(self.distances[rows], self.indices[rows])


@dataclass(frozen=True)
class NeighbourPass:
    """What the metrics, authenticity and pictures of neighbours need of two sets (N real, M fake).

    `real_nearest`, `fake_nearest`: 5 nearest within the set, self excluded. `fake_to_real`: for
    each fake the 5 nearest reals; `real_to_fake`: for each real the 5 nearest fakes.
    `in_real_ball` bool M: the fake lies in a ball of a real (radius to its 3rd neighbour, `<=`);
    `in_fake_ball` bool N: the same with the roles swapped. `num_real_balls` int64 M: the number of
    real balls of 5 neighbours that hold the fake (`<`). `realism` float32 M: the largest
    radius / distance over the real balls (k = 3) whose radius is at most the median
    (Kynkaanniemi 2019, eq. 3); infinite when the fake coincides with such a real, 1 when that
    real's own radius is 0 as well.

    Balls that do not exist hold nothing: with 3 reals or fewer `in_real_ball` is false and
    `realism` NaN, with 5 or fewer `num_real_balls` is 0, with 3 fakes or fewer `in_fake_ball` is
    false. The metrics raise there.
    """

    real_nearest: NearestNeighbours
    fake_nearest: NearestNeighbours
    fake_to_real: NearestNeighbours
    real_to_fake: NearestNeighbours
    in_real_ball: NDArray[np.bool_]
    in_fake_ball: NDArray[np.bool_]
    num_real_balls: NDArray[np.int64]
    realism: NDArray[np.float32]


# ------------------------------------------------------------------------------- distinct rows


def _digest(row: NDArray[np.float32]) -> bytes:
    """128 bits of the row's values; adding 0.0 makes -0.0 and 0.0 the same."""
    return hashlib.blake2b((row + np.float32(0)).tobytes(), digest_size=16).digest()


@dataclass(frozen=True)
class _Distinct:
    """The distinct rows of a set in order of first appearance, and who shares them."""

    rows: Tensor  # U,D float32 on the device
    class_of: NDArray[np.int64]  # N -> U
    counts: NDArray[np.int64]  # U
    first: NDArray[np.int64]  # U -> N

    @classmethod
    def of(cls, f_ND: NDArray[np.float32], name: str, device: torch.device) -> _Distinct:
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
        """The first k rows of each class, ascending; -1 where it has fewer. U,k."""
        order = np.argsort(self.class_of, kind="stable")
        start = np.cumsum(self.counts) - self.counts
        rank = np.arange(len(order)) - start[self.class_of[order]]
        table = np.full((len(self.counts), k), -1, np.int64)
        few = rank < k
        table[self.class_of[order][few], rank[few]] = order[few]
        return table


def _expanded(
    found: NearestNeighbours, points: _Distinct, base: _Distinct, k: int, *, exclude_self: bool
) -> NearestNeighbours:
    """Neighbours among distinct rows -> neighbours among all rows. The k nearest distinct rows,
    by distance and first member, hold among their members the k nearest rows.
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


# ------------------------------------------------------------------ distances and their bounds


def _distances(x_UD: Tensor, y_VD: Tensor, i_P: Tensor, j_P: Tensor) -> Tensor:
    """The distances that decide, float32 P: differences, squares and sum in float64."""
    d_P = torch.empty(len(i_P), dtype=torch.float32, device=i_P.device)
    step = max(1, EXACT_ENTRIES // x_UD.shape[1])
    for at in range(0, len(i_P), step):
        block = slice(at, at + step)
        diff = x_UD[i_P[block]].double().sub_(y_VD[j_P[block]])
        d_P[block] = diff.square_().sum(dim=1).sqrt_()
    return d_P


@dataclass(frozen=True)
class _Frame:
    """Centre (float64 D) and power-of-two scale in which products are taken: the centre keeps
    cancellation small, the scale keeps squares inside float32.
    """

    centre: Tensor
    scale: float

    @classmethod
    def around(cls, x_UD: Tensor, y_VD: Tensor) -> _Frame:
        """Centred on the mean of `x_UD`, scaled for both."""
        reach = max(float(bound.abs()) for rows in (x_UD, y_VD) for bound in rows.aminmax())
        scale = 2.0 ** -float(np.ceil(np.log2(reach))) if reach else 1.0
        # a float32 mean is centre enough, as long as both sets have the same
        weights_U = torch.full((len(x_UD),), 1 / len(x_UD), device=x_UD.device)
        return cls((weights_U @ x_UD).double(), scale)

    def squared(self, d: Tensor) -> Tensor:
        """Distances of the original rows -> squared distances of this frame, float64."""
        return d.double().mul(self.scale).square()

    def operand(self, x_UD: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """`[x, (1 - s) |x|^2, 1]` (U,D+2) and `|x|^2` (float64 U) of the centred, scaled rows."""
        num, dim = x_UD.shape
        out = torch.empty((num, dim + 2), dtype=dtype, device=x_UD.device)
        norm_U = torch.empty(num, dtype=torch.float64, device=x_UD.device)
        for at in range(0, num, 512):
            block = slice(at, at + 512)
            out[block, :dim] = x_UD[block].double().sub_(self.centre).mul_(self.scale)
            norm_U[block] = out[block, :dim].double().square().sum(dim=1)
        out[:, dim] = norm_U * (1 - _slack(dim, dtype))
        out[:, dim + 1] = 1
        return out, norm_U


def _slack(dim: int, dtype: torch.dtype) -> float:
    """Bound on the rounding of a squared distance, relative to the sum of the squared norms."""
    return torch.finfo(dtype).eps * (dim + 8)


def _faint(norm_U: Tensor) -> bool:
    """Whether some rows lie so close to the centre, for the scale, that products underflow."""
    return bool(((norm_U > 0) & (norm_U < FAINT)).any())


def _as_query(operand: Tensor) -> Tensor:
    """`[x, |x|^2, 1]` -> `[-2x, 1, |x|^2]`, in place."""
    operand[:, :-2] *= -2
    operand[:, -2:] = operand[:, -2:].flip(1)
    return operand


@contextmanager
def _strict_float32() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class _Limits:
    """Upper bounds on the squared distance of each point's k-th neighbour, from the minima of
    disjoint groups of the neighbours seen so far.
    """

    def __init__(self, num: int, k: int, device: torch.device) -> None:
        self.k = k
        self.minima_GU = torch.full((max(GROUPS, 2 * k), num), torch.inf, device=device)
        # a finite start: the entries that a tile leaves out are infinite
        self.limit_U = torch.full((num,), LARGE if k else -1.0, device=device)

    def see(self, tile: Tensor, dim: int, points: slice, slack: Tensor) -> Tensor:
        """Take in a tile of lower bounds; the neighbours of `points` run along `dim`, and adding
        `slack` to a point's values makes upper bounds. Returns the minima's upper bounds.
        """
        num = tile.shape[dim]
        groups = min(len(self.minima_GU), num)
        used = tile.narrow(dim, 0, num // groups * groups)
        shape = *used.shape[:dim], groups, -1, *used.shape[dim + 1 :]
        least = used.view(shape).amin(dim=dim + 1)
        seen = self.minima_GU[:groups, points]
        upper: Tensor = (least.T if dim else least).add(slack).float()
        self.minima_GU[:groups, points] = torch.minimum(seen, upper)
        return upper

    def refresh(self, points: slice) -> Tensor:
        """The bounds of `points`, widened by what may tie in float32."""
        if self.k:
            least = self.minima_GU[:, points].T.contiguous().topk(self.k, largest=False).values
            bound = least.amax(dim=1).mul_(1 + TIE).clamp_(min=TINY)
            self.limit_U[points] = torch.minimum(self.limit_U[points], bound)
        return self.limit_U[points]

    def tighten(self, found_Uk: Tensor) -> None:
        """Squared distances of the k nearest among the pairs that were settled."""
        if self.k:
            bound = found_Uk[:, -1].mul(1 + 3 * TIE).float().clamp_(min=TINY)
            self.limit_U = torch.minimum(self.limit_U, bound)


class _Nearest:
    """The k nearest among the pairs merged so far: distances float32 U,k and indices int64 U,k."""

    def __init__(self, num: int, k: int, device: torch.device) -> None:
        self.k = k
        self.distances = torch.full((num, k), torch.inf, device=device)
        self.indices = torch.zeros((num, k), dtype=torch.int64, device=device)

    def merge(self, point: Tensor, neighbour: Tensor, distance: Tensor) -> None:
        """Take in pairs that were not merged before."""
        if not self.k:
            return
        has, _ = held = self.distances.isfinite().nonzero(as_tuple=True)
        point = torch.cat([has, point])
        neighbour = torch.cat([self.indices[held], neighbour])
        distance = torch.cat([self.distances[held], distance])
        order = neighbour.argsort(stable=True)  # stable sorts, last key first: point, distance, row
        order = order[distance[order].argsort(stable=True)]
        order = order[point[order].argsort(stable=True)]
        point = point[order]
        start = torch.searchsorted(point, torch.arange(len(self.indices), device=point.device))
        rank = torch.arange(len(point), device=point.device) - start[point]
        few = rank < self.k
        self.distances[point[few], rank[few]] = distance[order[few]]
        self.indices[point[few], rank[few]] = neighbour[order[few]]

    def numpy(self) -> NearestNeighbours:
        return NearestNeighbours(self.distances.cpu().numpy(), self.indices.cpu().numpy())


# ------------------------------------------------------------------------------------ the scan


class _Pairs(NamedTuple):
    """Pairs at positions i in x and j in y: lower bound of the squared distance, whether the count
    of 5-neighbour balls waits for it, and whether something other than a k nearest does.
    """

    i: Tensor
    j: Tensor
    low: Tensor
    counts: Tensor
    decides: Tensor

    def where(self, mask: Tensor) -> _Pairs:
        return _Pairs(*(part[mask] for part in self))


class _Found(NamedTuple):
    """Of one tile: pairs below some bound, masks of those certainly in balls, and those near."""

    pairs: _Pairs
    sure: tuple[Tensor, ...]
    near: Tensor


class _Balls:
    """Ball membership of fakes V in real balls and of reals U in fake balls, at positions of the
    scan. Radii are float32 distances, -1 for a ball that does not exist.
    """

    def __init__(
        self, r3_U: Tensor, r5_U: Tensor, pruned_U: Tensor, weight_U: Tensor, f3_V: Tensor
    ) -> None:
        serves_U = ~pruned_U & (r3_U >= 0)  # in realism
        leads_U = serves_U & (r3_U > 0)  # may give more than the surface's realism
        self.num_leading = int(leads_U.sum())
        # those first, by falling radius: the rows of a tile have about one radius
        self.order = torch.where(leads_U, r3_U, -1.0).argsort(descending=True, stable=True)
        self.r3_U, self.r5_U, self.f3_V = r3_U[self.order], r5_U[self.order], f3_V
        self.weight_U, self.serves_U = weight_U[self.order], serves_U[self.order]
        self.leads_U = leads_U[self.order]
        self.in_real_V = torch.zeros(len(f3_V), dtype=torch.bool, device=f3_V.device)
        self.in_fake_U = torch.zeros(len(r3_U), dtype=torch.bool, device=f3_V.device)
        self.num_V = torch.zeros(len(f3_V), dtype=torch.int64, device=f3_V.device)
        self.realism_V = torch.full_like(f3_V, 0.0 if bool(serves_U.any()) else torch.nan)

    def start(self, frame: _Frame) -> None:
        """Bounds in the squared units of the scan."""
        self.r3sq_U, self.r5sq_U, self.f3sq_V = (
            torch.where(r < 0, -1.0, frame.squared(r)) for r in (self.r3_U, self.r5_U, self.f3_V)
        )
        self.ratio_V = torch.full_like(self.f3sq_V, LARGE)  # least d^2 / r^2, from above

    def widen(
        self, limit_B: Tensor, limit_W: Tensor, rows: slice, upper_W: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Bounds of rows and columns that let every pair through which a ball or realism may
        need. `upper_W`: for each column an upper bound of its least squared distance here.
        """
        limit_W = torch.maximum(limit_W, (self.f3sq_V * (1 + 2 * TIE)).float())
        r3sq_B = self.r3sq_U[rows]
        if rows.start < self.num_leading:  # then all rows of the tile lead
            self.ratio_V = torch.minimum(self.ratio_V, upper_W / r3sq_B[-1])
            limit_W = torch.maximum(limit_W, (self.ratio_V * r3sq_B[0] * (1 + 2 * TIE)).float())
        reach_B = torch.maximum(self.r5sq_U[rows], r3sq_B) * (1 + 2 * TIE)
        return torch.maximum(limit_B, reach_B.float()), limit_W

    def classify(self, pairs: _Pairs, high: Tensor) -> tuple[_Pairs, tuple[Tensor, ...]]:
        """Which pairs wait for a distance, and masks of the pairs certainly inside."""
        i, j, low = pairs[:3]
        sure, waits = [], []
        for limit in (self.r3sq_U[i], self.r5sq_U[i], self.f3sq_V[j]):
            sure.append(high < limit * (1 - TIE))
            waits.append((low <= limit * (1 + TIE)) & ~sure[-1] & (limit >= 0))
        ratio = torch.where(self.leads_U[i], high / self.r3sq_U[i], torch.inf)
        self.ratio_V.scatter_reduce_(0, j, ratio, "amin")
        decides = waits[0] | waits[1] | waits[2]
        return pairs._replace(counts=waits[1], decides=decides), tuple(sure)

    def realism_waits(self, pairs: _Pairs) -> Tensor:
        """Whether a real may give a fake's realism."""
        r3sq = self.r3sq_U[pairs.i]
        return self.leads_U[pairs.i] & (pairs.low <= r3sq * self.ratio_V[pairs.j] * (1 + TIE))

    def accept(self, pairs: _Pairs, sure: tuple[Tensor, ...]) -> None:
        """Enter the pairs that are certainly inside."""
        in_r3, in_r5, in_f3 = sure
        self.in_real_V[pairs.j[in_r3]] = True
        self.in_fake_U[pairs.i[in_f3]] = True
        self.num_V.index_add_(0, pairs.j[in_r5], self.weight_U[pairs.i[in_r5]])

    def decide(self, pairs: _Pairs, d_P: Tensor) -> None:
        """Enter pairs whose distance is known."""
        i, j = pairs.i, pairs.j
        self.in_real_V[j[d_P <= self.r3_U[i]]] = True
        self.in_fake_U[i[d_P <= self.f3_V[j]]] = True
        inside = pairs.counts & (d_P < self.r5_U[i])
        self.num_V.index_add_(0, j[inside], self.weight_U[i[inside]])
        ratio = torch.where((d_P == 0) & (self.r3_U[i] == 0), 1.0, self.r3_U[i] / d_P)
        serves = self.serves_U[i]
        self.realism_V.scatter_reduce_(0, j[serves], ratio[serves], "amax")


class _Scan:
    """One pass over the tiles of x (rows) against y (columns); `x is y` for neighbours within a
    set, where each pair is met once. `k_x`, `k_y`: neighbours wanted for each side.
    """

    def __init__(
        self, x_UD: Tensor, y_VD: Tensor, k_x: int, k_y: int, balls: _Balls | None
    ) -> None:
        self.x_UD, self.y_VD, self.balls = x_UD, y_VD, balls
        self.within = x_UD is y_VD
        self.frame = _Frame.around(x_UD, y_VD)
        device = x_UD.device
        self.limits_x, self.nearest_x = (
            _Limits(len(x_UD), k_x, device),
            _Nearest(len(x_UD), k_x, device),
        )
        self.limits_y, self.nearest_y = self.limits_x, self.nearest_x
        if not self.within:
            self.limits_y = _Limits(len(y_VD), k_y, device)
            self.nearest_y = _Nearest(len(y_VD), k_y, device)
        self.columns = bool(k_y) or balls is not None or self.within  # do columns want anything
        self.order, self.num_leading = torch.arange(len(x_UD), device=device), 0
        if balls is not None:
            self.order, self.num_leading = balls.order, balls.num_leading
            balls.start(self.frame)
        self.base_VD, self.norm_V = self.frame.operand(y_VD, torch.float32)
        self.faint = _faint(self.norm_V)
        self.norm_U = torch.zeros(len(x_UD), dtype=torch.float64, device=device)
        self.buffer = torch.empty(0, device=device)
        self.pending: list[_Pairs] = []

    def run(self, tile_rows: int | None) -> None:
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
        # within a set the lower half of the first square of a tile is computed in vain
        return min(rows, max(128, len(self.x_UD) // 16)) if self.within else rows

    def _product(self, rows: slice, columns: slice, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Lower bounds of squared distances B,W, in `dtype` or better, and squared norms B."""
        x_BD = self.x_UD[self.order[rows]]
        query, norm_B = self.frame.operand(x_BD, dtype)
        if self.faint or _faint(norm_B):
            dtype = torch.float64
            query, norm_B = self.frame.operand(x_BD, dtype)
        _as_query(query)
        if dtype == torch.float64:  # rare, and short of memory: the columns in pieces
            y_WD = self.y_VD[columns]
            blocks = (y_WD[at : at + 1024] for at in range(0, len(y_WD), 1024))
            parts = [query @ self.frame.operand(block, dtype)[0].T for block in blocks]
            return torch.cat(parts, dim=1), norm_B
        shape = len(query), columns.stop - columns.start
        if len(self.buffer) < shape[0] * shape[1]:
            self.buffer = torch.empty(shape[0] * shape[1], device=query.device)
        tile = self.buffer[: shape[0] * shape[1]].view(shape)
        return torch.mm(query, self.base_VD[columns].T, out=tile), norm_B

    def _tile(self, rows: slice, dtype: torch.dtype, *, refresh: bool) -> _Found:
        columns = slice(rows.start if self.within else 0, len(self.y_VD))
        tile, norm_B = self._product(rows, columns, dtype)
        num_rows, width = tile.shape
        if self.within:  # each pair once, and no point with itself
            square = torch.ones((num_rows, num_rows), dtype=torch.bool, device=tile.device)
            tile[:, :num_rows].masked_fill_(square.tril_(), torch.inf)
        norm_W = self.norm_V[columns]
        self.norm_U[rows] = norm_B
        twice = 2 * _slack(self.x_UD.shape[1], tile.dtype)  # from lower to upper bound
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
        pairs = _Pairs(i, j, low, *torch.zeros((2, len(i)), dtype=torch.bool, device=i.device))
        sure: tuple[Tensor, ...] = ()
        if self.balls is not None:
            pairs, sure = self.balls.classify(
                pairs, low + twice * (self.norm_U[i] + self.norm_V[j])
            )
        return _Found(pairs, sure, self._near(pairs))

    def _near(self, pairs: _Pairs) -> Tensor:
        """Pairs whose distance must be known, by the bounds of this moment."""
        near = pairs.decides | (pairs.low <= self.limits_x.limit_U[pairs.i])
        if self.columns:
            near |= pairs.low <= self.limits_y.limit_U[pairs.j]
        if self.balls is not None:
            near |= self.balls.realism_waits(pairs)
        return near

    def _settle(self) -> None:
        """Give the pending pairs their distances, and enter them everywhere."""
        if not self.pending:
            return
        every = slice(0, None)
        self.limits_y.refresh(every)
        pairs = _Pairs(*(torch.cat(parts) for parts in zip(*self.pending, strict=True)))
        pairs = pairs.where(self._near(pairs))
        self.pending = []
        x = self.order[pairs.i]
        d_P = _distances(self.x_UD, self.y_VD, x, pairs.j)
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
    """Flat positions of true entries; numpy's search is many times faster than torch's on a CPU."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.view(-1).nonzero()[:, 0]


# ------------------------------------------------------------------------------ public functions


def _within(points: _Distinct, k: int, tile_rows: int | None) -> NearestNeighbours:
    k_distinct = min(k, len(points.rows) - 1)
    scan = _Scan(points.rows, points.rows, k_distinct, k_distinct, None)
    if k_distinct:
        scan.run(tile_rows)
    return _expanded(scan.nearest_x.numpy(), points, points, k, exclude_self=True)


def nearest_neighbours(
    query: NDArray[np.float32],
    base: NDArray[np.float32],
    k: int,
    *,
    exclude_self: bool = False,
    device: str = "cpu",
    tile_rows: int | None = None,
) -> NearestNeighbours:
    """The k nearest rows of `base` (N,D float32) for each row of `query` (M,D float32).

    `exclude_self`: `query` and `base` are one set, and a row is not its own neighbour. Fewer than
    k where `base` has fewer. Exact; ties go to the lower index. `tile_rows` changes time and
    memory, not the result. Raises `InputError` on shapes that do not fit and on values that are
    not finite. Agrees with scikit-learn's brute-force `NearestNeighbors` in float64.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    on = torch.device(device)
    points = _Distinct.of(query, "query features", on)
    with _strict_float32():
        if exclude_self:
            if query is not base and not np.array_equal(query, base):
                raise InputError("exclude_self needs query and base to be the same rows")
            return _within(points, k, tile_rows)
        among = _Distinct.of(base, "base features", on)
        _check_widths(points, among)
        scan = _Scan(points.rows, among.rows, min(k, len(among.rows)), 0, None)
        scan.run(tile_rows)
        return _expanded(scan.nearest_x.numpy(), points, among, k, exclude_self=False)


def neighbour_pass(
    real: NDArray[np.float32],
    fake: NDArray[np.float32],
    *,
    real_nearest: NearestNeighbours | None = None,
    device: str = "cpu",
    tile_rows: int | None = None,
) -> NeighbourPass:
    """Everything the neighbour metrics need of `real` (N,D float32) and `fake` (M,D float32).

    `real_nearest`: the stored result of `nearest_neighbours(real, real, 5, exclude_self=True)`,
    which gives the same pass without that third of the work. Raises `InputError` as
    `nearest_neighbours` does, and when `real_nearest` is not of these reals' size.
    """
    on = torch.device(device)
    reals = _Distinct.of(real, "real features", on)
    fakes = _Distinct.of(fake, "fake features", on)
    _check_widths(fakes, reals)
    kept = len(real), min(K_NEAREST, len(real) - 1)
    if real_nearest is not None and (
        len(real_nearest.distances) != kept[0] or real_nearest.distances.shape[1] < kept[1]
    ):
        raise InputError(
            f"stored neighbours of the reals have shape {real_nearest.distances.shape}, "
            f"these reals need {kept}; prepare the reference again"
        )
    with _strict_float32():
        if real_nearest is None:
            real_nearest = _within(reals, K_NEAREST, tile_rows)
        else:
            distances, indices = real_nearest
            real_nearest = NearestNeighbours(distances[:, : kept[1]], indices[:, : kept[1]])
        fake_nearest = _within(fakes, K_NEAREST, tile_rows)
        r3_N = _radius(real_nearest, K_BALL)
        pruned = r3_N > np.median(r3_N)
        balls = _Balls(
            torch.from_numpy(r3_N[reals.first]).to(on),
            torch.from_numpy(_radius(real_nearest, K_NEAREST)[reals.first]).to(on),
            torch.from_numpy(pruned[reals.first]).to(on),
            torch.from_numpy(reals.counts).to(on),
            torch.from_numpy(_radius(fake_nearest, K_BALL)[fakes.first]).to(on),
        )
        scan = _Scan(
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
        fake_to_real=_expanded(scan.nearest_y.numpy(), fakes, reals, K_NEAREST, exclude_self=False),
        real_to_fake=_expanded(scan.nearest_x.numpy(), reals, fakes, K_NEAREST, exclude_self=False),
        in_real_ball=balls.in_real_V.cpu().numpy()[fakes.class_of],
        in_fake_ball=in_fake_U.cpu().numpy()[reals.class_of],
        num_real_balls=balls.num_V.cpu().numpy()[fakes.class_of],
        realism=balls.realism_V.cpu().numpy()[fakes.class_of],
    )


def _radius(nearest: NearestNeighbours, k: int) -> NDArray[np.float32]:
    """Distance to the k-th neighbour, -1 where there is none."""
    if nearest.distances.shape[1] < k:
        return np.full(len(nearest.distances), -1, np.float32)
    return np.ascontiguousarray(nearest.distances[:, k - 1])


def _check_widths(query: _Distinct, base: _Distinct) -> None:
    if query.rows.shape[1] != base.rows.shape[1]:
        raise InputError(
            f"the two sets have {query.rows.shape[1]} and {base.rows.shape[1]} features per row"
        )
