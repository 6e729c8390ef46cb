"""Rounding bounds of a product, exact distances, and the k nearest found so far.

With `s = eps (D + 8)` the rounding of a product is at most `s (|x|^2 + |y|^2)` (Higham, Accuracy
and Stability of Numerical Algorithms, 2002, plus the rounding of centring and norms). Norms shrunk
by `1 - s` therefore make the product a lower bound of the squared distance, and adding `2 s` of
the norms makes it an upper bound. Products run in strict float32
(`torch.set_float32_matmul_precision("highest")` for their duration), because TF32 or bfloat16
would break the bound.

Candidates for the k nearest are found without sorting a tile: the minima of 32 disjoint groups of
a row bound its k-th smallest value, and one comparison selects the few entries below.

Shape legend: D features, U and V distinct rows, P pairs, G groups, k neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.statistics.neighbours.results import NearestNeighbours

GROUPS = 32  # disjoint groups whose minima bound the k-th smallest distance
EXACT_ENTRIES = 1 << 19  # float64 entries of a block of exact differences
LARGE = 1e30  # exceeds every squared distance of scaled rows
TINY = 1e-35  # smaller bounds would be rounded coarsely in float32
FAINT = 1e-25  # rows with smaller squared norms (scaled) would underflow in float32 products
TIE = 1e-6  # relative width, in squared distance, of what float32 distances may tie


def exact_distances(x_UD: Tensor, y_VD: Tensor, i_P: Tensor, j_P: Tensor) -> Tensor:
    """Return the exact distances of P pairs, float32: differences, squares and sum in float64."""
    d_P = torch.empty(len(i_P), dtype=torch.float32, device=i_P.device)
    step = max(1, EXACT_ENTRIES // x_UD.shape[1])
    for at in range(0, len(i_P), step):
        block = slice(at, at + step)
        diff = x_UD[i_P[block]].double().sub_(y_VD[j_P[block]])
        d_P[block] = diff.square_().sum(dim=1).sqrt_()
    return d_P


def rounding_slack(dim: int, dtype: torch.dtype) -> float:
    """Return the rounding bound of a squared distance, relative to the sum of squared norms."""
    return torch.finfo(dtype).eps * (dim + 8)


def any_faint(norm_U: Tensor) -> bool:
    """Return whether some rows are so close to the centre that their products underflow."""
    return bool(((norm_U > 0) & (norm_U < FAINT)).any())


@dataclass(frozen=True)
class Frame:
    """Centre (float64 D) and power-of-two scale of the rows in products.

    The centre keeps cancellation small, the scale keeps squares within float32.
    """

    centre: Tensor
    scale: float

    @classmethod
    def around(cls, x_UD: Tensor, y_VD: Tensor) -> Frame:
        """Return the frame centred on the mean of `x_UD` and scaled for both sets."""
        reach = max(float(bound.abs()) for rows in (x_UD, y_VD) for bound in rows.aminmax())
        scale = 2.0 ** -float(np.ceil(np.log2(reach))) if reach else 1.0
        # a float32 mean is precise enough for a centre, as long as both sets share it
        weights_U = torch.full((len(x_UD),), 1 / len(x_UD), device=x_UD.device)
        return cls((weights_U @ x_UD).double(), scale)

    def squared(self, d: Tensor) -> Tensor:
        """Return squared distances of this frame (float64) from distances of the original rows."""
        return d.double().mul(self.scale).square()

    def operand(self, x_UD: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return `[x, (1 - s) |x|^2, 1]` (U,D+2) and `|x|^2` (float64 U) of the scaled rows."""
        num, dim = x_UD.shape
        out = torch.empty((num, dim + 2), dtype=dtype, device=x_UD.device)
        norm_U = torch.empty(num, dtype=torch.float64, device=x_UD.device)
        for at in range(0, num, 512):
            block = slice(at, at + 512)
            out[block, :dim] = x_UD[block].double().sub_(self.centre).mul_(self.scale)
            norm_U[block] = out[block, :dim].double().square().sum(dim=1)
        out[:, dim] = norm_U * (1 - rounding_slack(dim, dtype))
        out[:, dim + 1] = 1
        return out, norm_U


def as_query(operand: Tensor) -> Tensor:
    """Turn `[x, |x|^2, 1]` into `[-2x, 1, |x|^2]`, in place."""
    operand[:, :-2] *= -2
    operand[:, -2:] = operand[:, -2:].flip(1)
    return operand


class Limits:
    """Upper bounds on the squared distance of each point's k-th neighbour, from the minima of
    disjoint groups of the neighbours seen so far.
    """

    def __init__(self, num: int, k: int, device: torch.device) -> None:
        self.k = k
        self.minima_GU = torch.full((max(GROUPS, 2 * k), num), torch.inf, device=device)
        # finite at the start, because masked entries of a tile are infinite
        self.limit_U = torch.full((num,), LARGE if k else -1.0, device=device)

    def see(self, tile: Tensor, dim: int, points: slice, slack: Tensor) -> Tensor:
        """Update the group minima from a tile of lower bounds; return their upper bounds.

        The neighbours of `points` run along `dim`. Adding `slack` to a point's values turns them
        into upper bounds.
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
        """Update and return the limits of `points`, widened by what may tie in float32."""
        if self.k:
            least = self.minima_GU[:, points].T.contiguous().topk(self.k, largest=False).values
            bound = least.amax(dim=1).mul_(1 + TIE).clamp_(min=TINY)
            self.limit_U[points] = torch.minimum(self.limit_U[points], bound)
        return self.limit_U[points]

    def tighten(self, found_Uk: Tensor) -> None:
        """Lower the limits to `found_Uk`, squared distances of the k nearest exact pairs so far."""
        if self.k:
            bound = found_Uk[:, -1].mul(1 + 3 * TIE).float().clamp_(min=TINY)
            self.limit_U = torch.minimum(self.limit_U, bound)


class NearestSoFar:
    """The k nearest among the pairs merged so far: `distances` float32 U,k, `indices` int64 U,k."""

    def __init__(self, num: int, k: int, device: torch.device) -> None:
        self.k = k
        self.distances = torch.full((num, k), torch.inf, device=device)
        self.indices = torch.zeros((num, k), dtype=torch.int64, device=device)

    def merge(self, point: Tensor, neighbour: Tensor, distance: Tensor) -> None:
        """Merge pairs that were not merged before."""
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
        """Return the neighbours as arrays on the host, still among distinct rows."""
        return NearestNeighbours(self.distances.cpu().numpy(), self.indices.cpu().numpy())
