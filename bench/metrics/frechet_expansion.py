"""Fréchet distance to second order in the draw of the generated images.

With T the optimal transport map from the fake Gaussian (mu, S) to the real one (mu_r, S_r), an
image x changes the distance by the influence

    IF(x) = 2 (mu - mu_r).(x - mu) + tr[(I - T) ((x - mu)(x - mu)^T - S)].

All of it comes from one eigendecomposition. With S_r = F F^T, F^T S F = Q diag(s^2) Q^T and
u = Q^T F^T (x - mu): (x - mu)^T T (x - mu) = sum_i u_i^2 / s_i. The second derivative of
tr (S_r S)^(1/2) (divided differences of the square root; Bhatia, Matrix Analysis, V.3) gives for a
pair of images

    h(x, y) = (x - mu)^T T (y - mu) + 1/2 sum_ij w_ij (u_i u_j - M_ij)(x) (u_i u_j - M_ij)(y),

w_ij = 1 / (s_i s_j (s_i + s_j)), M = diag(s^2). Its pairs i = j are the bias: of the means,
E |mu_n - mu|^2 = tr S / n, and of the covariances half of sum_ij w_ij (E u_i^2 u_j^2 - M_ij^2) / n.

For singular covariances only directions in which both sides vary are used. With no more images
than features, the eigenvectors are those of the N,N matrix of products.

Shape legend: N images, D features, R directions in use, P pairs.
"""

from __future__ import annotations

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
    """The distance of a sample, and how it depends on the sample's images.

    n images exceed the true value by `bias` / n to first order, and by `curvature` / n^2 in the
    next term. `influence` (float64 N) has mean 0.
    """

    value: float
    bias: float
    curvature: float
    influence: NDArray[np.float64]
    expansion: Expansion


class _Spectrum(NamedTuple):
    """Value and bias of one sample, and the factors u and s of its pairs."""

    value: float
    bias: float
    influence: Tensor  # N
    u: Tensor  # N,R
    s: Tensor  # R


def expand(
    real: Moments, f_ND: NDArray[np.floating], seed: int, copy_rate: float = 0.0
) -> FrechetExpansion:
    """Return the expansion around the rows of `f_ND` (N,D, at least 4 rows).

    `seed` orders the rows, since halves and pairs are random. `copy_rate` is the probability that
    two rows are copies, which makes the effective numbers of rows smaller.
    """
    order = np.random.default_rng(seed).permutation(len(f_ND))
    x_ND = torch.from_numpy(f_ND[order].astype(np.float64))
    mean = torch.from_numpy(real.mean)
    factor = _factor(real)
    whole = _spectrum(mean, factor, x_ND)
    half = len(x_ND) // 2
    parts = [_spectrum(mean, factor, x_ND[:half]), _spectrum(mean, factor, x_ND[-half:])]
    of_all, of_half = ((1 + (num - 1) * copy_rate) / num for num in (len(x_ND), half))
    corrected = whole.value - whole.bias * of_all
    halves = sum(part.value - part.bias * of_half for part in parts) / 2
    # corrected by the first term, n images exceed the truth by curvature / n^2
    apart = of_half**2 - of_all**2  # 0 when all rows are copies, and then nothing varies
    curvature = (halves - corrected) / apart if apart > EPS else 0.0
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
    """Return F with S_r = F F^T: Cholesky's, or that of the directions in which the reals vary."""
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
    """Return value, bias and influence of the rows of `x_ND` from one eigendecomposition."""
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
    """Return a mask of the largest `rank` eigenvalues that exceed rounding."""
    kept = w > w.clamp(min=0).sum() * EPS * dim
    kept[: max(len(w) - rank, 0)] = False
    return kept


def _weights(s_R: Tensor) -> Tensor:
    """Return w_ij, R,R."""
    return 1 / (s_R[:, None] * s_R * (s_R[:, None] + s_R))


def _pairs(whole: _Spectrum) -> Expansion:
    """Return the second-order moments from pairs of each image with those 1, 2, ... places on."""
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
