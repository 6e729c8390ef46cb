"""The Fréchet distance to second order in the draw of the generated images.

With T the optimal transport map from the fake Gaussian (mu, S) to the real one (mu_r, S_r), an
image x moves the distance by the influence

    IF(x) = 2 (mu - mu_r).(x - mu) + tr[(I - T) ((x - mu)(x - mu)^T - S)].

All of it comes from one eigendecomposition. With S_r = F F^T, F^T S F = Q diag(s^2) Q^T and
u = Q^T F^T (x - mu): (x - mu)^T T (x - mu) = sum_i u_i^2 / s_i, and the second derivative of
tr (S_r S)^(1/2) (divided differences of the square root; Bhatia, Matrix Analysis, V.3) gives for a
pair of images

    h(x, y) = (x - mu)^T T (y - mu) + 1/2 sum_ij w_ij (u_i u_j - M_ij)(x) (u_i u_j - M_ij)(y),

w_ij = 1 / (s_i s_j (s_i + s_j)), M = diag(s^2). Its pairs i = j are the bias: of the means,
E |mu_n - mu|^2 = tr S / n, and of the covariances half of sum_ij w_ij (E u_i^2 u_j^2 - M_ij^2) / n.

Singular covariances: only directions in which both sides vary are kept, and with N images or
fewer than features the eigenvectors are those of the N,N matrix of products.

Shape legend: N images, D features, R kept directions, P pairs.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.statistics.intervals import Expansion
from bench.statistics.moments import Moments

PAIRS = 5000  # random pairs of images for the mean square of h
EPS = float(np.finfo(np.float64).eps)


class FrechetExpansion(NamedTuple):
    """`value` of the rows; `bias` times 1/n is what n images exceed the truth by, to first order;
    `curvature` times 1/n^2 is the next term. `influence` has mean 0.
    """

    value: float
    bias: float
    curvature: float
    influence: NDArray[np.float64]  # N
    expansion: Expansion


class _Spectrum(NamedTuple):
    """Of one sample: its value, bias, and what its pairs are made of."""

    value: float
    bias: float
    influence: Tensor  # N
    u: Tensor  # N,R
    s: Tensor  # R


def expand(real: Moments, f_ND: NDArray[np.floating], seed: int) -> FrechetExpansion:
    """Expansion around the rows of `f_ND` (N,D, at least 4). `seed` orders them: halves and pairs
    are random.
    """
    order = np.random.default_rng(seed).permutation(len(f_ND))
    x_ND = torch.from_numpy(f_ND[order].astype(np.float64))
    mean = torch.from_numpy(real.mean)
    factor = _factor(real)
    whole = _spectrum(mean, factor, x_ND)
    half = len(x_ND) // 2
    parts = [_spectrum(mean, factor, x_ND[:half]), _spectrum(mean, factor, x_ND[-half:])]
    corrected = whole.value - whole.bias / len(x_ND)
    of_halves = sum(part.value - part.bias / half for part in parts) / 2
    # corrected by the first term, n images exceed the truth by curvature / n^2
    curvature = (of_halves - corrected) / (1 / half**2 - 1 / len(x_ND) ** 2)
    influence = np.empty(len(x_ND))
    influence[order] = whole.influence.numpy()
    return FrechetExpansion(
        value=whole.value,
        bias=whole.bias,
        curvature=curvature,
        influence=influence,
        expansion=_pairs(whole),
    )


def _factor(real: Moments) -> Tensor:
    """F with S_r = F F^T: Cholesky's, or that of the directions in which the reals vary."""
    S = torch.from_numpy(real.covariance())
    factor: Tensor
    if real.n > real.dim:
        factor, failed = torch.linalg.cholesky_ex(S)
        if not failed:
            return factor
    w, V = torch.linalg.eigh(S)
    kept = w > w.clamp(min=0).sum() * EPS
    factor = V[:, kept] * w[kept].sqrt()
    return factor


def _spectrum(real_mean: Tensor, factor: Tensor, x_ND: Tensor) -> _Spectrum:
    n, dim = x_ND.shape
    mean = x_ND.mean(dim=0)
    a_ND = x_ND - mean
    b_NR = a_ND @ factor
    if n > factor.shape[1]:
        w, Q = torch.linalg.eigh(b_NR.T @ b_NR / (n - 1))
        kept = _kept(w, min(n - 1, factor.shape[1]), dim)
        u_NR = b_NR @ Q[:, kept]
    else:
        w, P = torch.linalg.eigh(b_NR @ b_NR.T / (n - 1))
        kept = _kept(w, n - 1, dim)
        u_NR = P[:, kept] * (w[kept] * (n - 1)).sqrt()
    s_R = w[kept].sqrt()
    delta = mean - real_mean
    square_N = a_ND.square().sum(dim=1)
    influence_N = 2 * (a_ND @ delta) + square_N - u_NR.square() @ (1 / s_R)
    value = delta @ delta + factor.square().sum() + square_N.sum() / (n - 1) - 2 * s_R.sum()
    fourth_RR = u_NR.square().T @ u_NR.square() / n
    fourth_RR.diagonal().sub_(s_R**4)
    bias = square_N.mean() + 0.5 * (_weights(s_R) * fourth_RR).sum()
    return _Spectrum(float(value), float(bias), influence_N - influence_N.mean(), u_NR, s_R)


def _kept(w: Tensor, rank: int, dim: int) -> Tensor:
    """The largest `rank` eigenvalues that are more than rounding."""
    kept = w > w.clamp(min=0).sum() * EPS * dim
    kept[: max(len(w) - rank, 0)] = False
    return kept


def _weights(s_R: Tensor) -> Tensor:
    return 1 / (s_R[:, None] * s_R * (s_R[:, None] + s_R))


def _pairs(whole: _Spectrum) -> Expansion:
    """What random pairs of different images tell: each with those 1, 2, ... places on."""
    u_NR, s_R, influence_N = whole.u, whole.s, whole.influence
    n = len(u_NR)
    weight_RR = _weights(s_R)
    own_R = weight_RR.diagonal() * s_R**2
    own_N = 0.5 * (u_NR.square() @ own_R)
    constant = 0.5 * (own_R * s_R**2).sum()
    square = third = 0.0
    shifts = min(n - 1, max(1, PAIRS // n))
    rows = min(n, PAIRS)
    for shift in range(1, shifts + 1):
        z_PR = u_NR[:rows] * u_NR.roll(shift, 0)[:rows]
        h_P = z_PR @ (1 / s_R) + 0.5 * ((z_PR @ weight_RR) * z_PR).sum(dim=1)
        h_P += constant - own_N[:rows] - own_N.roll(shift)[:rows]
        square += float(h_P.square().mean()) / shifts
        together_P = influence_N[:rows] * influence_N.roll(shift)[:rows]
        third += 4 * float((together_P * h_P).mean()) / shifts
    third += float((influence_N**3).mean())
    return Expansion(float(influence_N.var()), square, third, n)


def line_factors(sizes: list[int]) -> tuple[float, float]:
    """By how much the intercept of a line through values at 1 / `sizes`, of independent random
    subsets of the largest size n, raises the variances of the first and the second order.

    With the weights c_k of the intercept, an image is in subset k with probability n_k / n:
    sum_kl c_k c_l + sum_k c_k^2 (n / n_k - 1), and for pairs of images the same with squares.
    """
    n = max(sizes)
    x = 1 / np.asarray(sizes, np.float64)
    centred = x - x.mean()
    c = 1 / len(x) - x.mean() * centred / (centred @ centred)
    ones = n * x
    pairs = n * (n - 1) / np.asarray([max(size * (size - 1), 1) for size in sizes])
    return float(1 + (c**2 * (ones - 1)).sum()), float(1 + (c**2 * (pairs - 1)).sum())


def is_finite(found: FrechetExpansion) -> bool:
    """Whether nothing overflowed."""
    numbers = (found.value, found.bias, found.curvature, *found.expansion)
    return all(math.isfinite(number) for number in numbers)
