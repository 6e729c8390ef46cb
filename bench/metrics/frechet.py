"""Fréchet distance between two sets of features, and its extrapolation to infinitely many images.

    FID = |mu1 - mu2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2))

Heusel et al. 2017 (arXiv:1706.08500), eq. 6, after Dowson and Landau 1982. The trace term always
comes from a symmetric problem: with S1 = F F^T it is the sum of the square roots of the
eigenvalues of F^T S2 F. F is a Cholesky factor, or V sqrt(w) from an eigendecomposition when both
covariances are singular. When a sample has no more images than features, S2 = A^T A / (n-1) for
its centred features A, and the n,n matrix A S1 A^T / (n-1) has the same non-zero eigenvalues. Of
either matrix only the largest min(n1-1, n2-1, D) eigenvalues can differ from zero; the others are
dropped, because the square root would turn rounding noise of 1e-16 into 1e-8 for each of them.

Agrees with torch-fidelity 0.4 (`fid_statistics_to_metric`: a general `eigvals`) to 1e-6 relative
for full-rank covariances; measured agreement is in the tests.

`fid_infinity` is Chong and Forsyth 2020 (arXiv:1911.07023), section 4: FID_n is close to a
straight line in 1/n; its intercept is the value for infinitely many generated images. The real
side keeps its own number of images.

Eigenvalues come from `torch.linalg.eigvalsh` in float64: D=2048 on two shared cores 0.6 s, where
NumPy took 0.9 s and SciPy 15 s (its OpenBLAS suffers from a neighbour on the cores).

Shape legend: N samples, D features, R rank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bench.errors import InputError
from bench.metrics.base import Metric, MetricInputs, MetricValue, Saying, UndefinedMetric
from bench.metrics.frechet_intervals import fid_infinity_interval, fid_interval
from bench.statistics.moments import Moments

EPS = float(np.finfo(np.float64).eps)
INFINITY_SIZES = 15
COLUMN_BLOCK = 256
CANCELLED = 0.1  # share of the expected variance below which a subset is computed from its rows
INFINITY_MIN_IMAGES = 30  # below it the smallest of the 15 sizes has fewer than 3 images


class FrechetDistance(NamedTuple):
    """`value` = `mean_term` + tr(S1) + tr(S2) - 2 `trace_term`, in squared feature units.

    `trace_term` is tr((S1 S2)^(1/2)). `clamped` is the summed size of the negative eigenvalues
    that were set to zero, relative to tr(S1) tr(S2): rounding, at most 2e-13 D, else the distance
    is undefined.
    """

    value: float
    mean_term: float
    trace_term: float
    clamped: float

    @property
    def covariance_term(self) -> float:
        """What the covariances add to the value."""
        return self.value - self.mean_term


class LineFit(NamedTuple):
    """Least-squares line value = intercept + slope / n, and the standard deviation of its
    residuals (divisor: points - 2).
    """

    intercept: float
    slope: float
    residual_sd: float


def frechet_distance(m1: Moments, m2: Moments) -> FrechetDistance:
    """Fréchet distance of two samples from their moments (float64 D and D,D).

    Raises `UndefinedMetric` when a sample has one image, when the result overflows, or when the
    moments are not those of a sample (a covariance with clearly negative eigenvalues).
    """
    _check_pair(m1.n, m1.dim, m2.n, m2.dim)
    S1, S2 = (torch.from_numpy(m.covariance()) for m in (m1, m2))
    _check_finite(S1, S2)
    squared_RR = _product(m1.n, S1, m2.n, S2)
    rank = min(m1.n - 1, m2.n - 1, m1.dim)
    trace1, trace2 = (max(float(S.trace()), 0.0) for S in (S1, S2))
    return _assemble(m1.mean - m2.mean, trace1, trace2, squared_RR, rank)


def frechet_distance_to_features(real: Moments, f_ND: NDArray[np.floating]) -> FrechetDistance:
    """The same from the moments of one sample and the features N,D of the other.

    Meant for N <= D, where it costs N^2 D instead of D^3. Raises as `frechet_distance`.
    """
    _check_pair(real.n, real.dim, *f_ND.shape)
    a_ND, mean = _centred(f_ND)
    S1 = torch.from_numpy(real.covariance())
    _check_finite(S1, a_ND)
    n = len(a_ND)
    squared_NN = a_ND @ (S1 @ a_ND.T) / (n - 1)
    rank = min(real.n - 1, n - 1, real.dim)
    trace = float(a_ND.square().sum()) / (n - 1)
    real_trace = max(float(S1.trace()), 0.0)
    return _assemble(real.mean - mean, real_trace, trace, squared_NN, rank)


def frechet_distance_low_rank(
    f1_ND: NDArray[np.floating], f2_ND: NDArray[np.floating]
) -> FrechetDistance:
    """The same from the features of both samples, N1,D and N2,D: the trace term is the nuclear
    norm of A B^T / sqrt((n1-1)(n2-1)) for the centred features A and B.

    Singular values have an absolute error of 1e-16 where square roots of eigenvalues have 1e-8:
    the most accurate form, and the cheapest when both samples are much smaller than D. Raises as
    `frechet_distance`.
    """
    _check_pair(*f1_ND.shape, *f2_ND.shape)
    (a, mean1), (b, mean2) = _centred(f1_ND), _centred(f2_ND)
    _check_finite(a, b)
    n1, n2 = len(a), len(b)
    nuclear_norm = float(torch.linalg.svdvals(a @ b.T).sum()) / math.sqrt((n1 - 1) * (n2 - 1))
    traces = float(a.square().sum()) / (n1 - 1), float(b.square().sum()) / (n2 - 1)
    return _total(mean1 - mean2, *traces, nuclear_norm, clamped=0.0, dim=a.shape[1])


def subset_sizes(n: int) -> list[int]:
    """The 15 sizes of `fid_infinity`: evenly spaced from n/10 (5,000 when n >= 50,000) to n."""
    start = 5000 if n >= 50_000 else max(n // 10, 2)
    return [int(size) for size in np.linspace(start, n, INFINITY_SIZES)]


def subset_moments(f_ND: NDArray[np.floating], sizes: Sequence[int], seed: int) -> list[Moments]:
    """Moments of one random subset of the rows of `f_ND` per size, each drawn on its own.

    Features are centred first, and a subset of more than half of the rows is the whole less the
    rest, which halves the work. Where that cancels digits (a feature that hardly varies in the
    subset), the rows are read instead.
    """
    rng = np.random.default_rng(seed)
    x_ND, mean = _centred(f_ND)
    n = len(x_ND)
    total_m2 = x_ND.T @ x_ND
    result = []
    for size in sizes:
        order = rng.permutation(n)
        inverted = size > n // 2
        part = x_ND[torch.from_numpy(order[size:] if inverted else order[:size])]
        total, m2 = part.sum(dim=0), part.T @ part
        if inverted:  # the whole sums to zero
            total, m2 = -total, total_m2 - m2
        m2 -= torch.outer(total, total) / size
        if bool((m2.diagonal() < CANCELLED * size / n * total_m2.diagonal()).any()):
            result.append(Moments.of(f_ND[order[:size]]))
        else:
            result.append(Moments(size, mean + (total / size).numpy(), m2.numpy()))
    return result


def line_in_reciprocal(sizes: Sequence[int], values: Sequence[float]) -> LineFit:
    """Least-squares line of `values` against 1 / `sizes` (at least three different sizes)."""
    x, y = 1 / np.asarray(sizes, dtype=np.float64), np.asarray(values, dtype=np.float64)
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    intercept = float(y.mean() - slope * x.mean())
    residual_sd = float(np.sqrt(((y - intercept - slope * x) ** 2).sum() / (len(x) - 2)))
    return LineFit(intercept, slope, residual_sd)


def fid_infinity(
    real: Moments, f_ND: NDArray[np.floating], seed: int
) -> tuple[LineFit, list[int], list[float]]:
    """The line through 15 (size, FID) points of random subsets of `f_ND`; its intercept is
    FID_infinity and may be slightly negative. Returns the line, the sizes and the 15 values.

    Raises `UndefinedMetric` for fewer than 30 images, and as `frechet_distance`.
    """
    n = len(f_ND)
    if n < INFINITY_MIN_IMAGES:
        raise UndefinedMetric(
            f"fid_infinity needs at least {INFINITY_MIN_IMAGES} images for its line, got {n}"
        )
    sizes = subset_sizes(n)
    if n <= real.dim:  # the same subsets, in the form that suits few images
        rng = np.random.default_rng(seed)
        rows = [rng.permutation(n)[:size] for size in sizes]
        values = [frechet_distance_to_features(real, f_ND[chosen]).value for chosen in rows]
    else:
        values = [frechet_distance(real, m).value for m in subset_moments(f_ND, sizes, seed)]
    return line_in_reciprocal(sizes, values), sizes, values


def _check_pair(n1: int, dim1: int, n2: int, dim2: int) -> None:
    if dim1 != dim2:
        raise InputError(f"features of {dim1} and of {dim2} dimensions cannot be compared")
    if min(n1, n2) < 2:
        raise UndefinedMetric(f"a covariance needs at least 2 images, got {n1} and {n2}")


def _check_finite(*tensors: torch.Tensor) -> None:
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
        raise UndefinedMetric("features or moments hold NaN, infinite or overflowing values")


def _centred(f_ND: NDArray[np.floating]) -> tuple[torch.Tensor, NDArray[np.float64]]:
    x_ND = f_ND.astype(np.float64)
    mean = x_ND.mean(axis=0)
    x_ND -= mean
    return torch.from_numpy(x_ND), mean


def _product(n1: int, S1: torch.Tensor, n2: int, S2: torch.Tensor) -> torch.Tensor:
    """F^T S F with F F^T equal to one of the covariances and S the other: symmetric, with the
    eigenvalues of S1 S2 that are not zero. Only the lower triangle is meant.
    """
    candidates = sorted(((n1, S1, S2), (n2, S2, S1)), key=lambda row: -row[0])
    for n, S, other in candidates:
        if n > len(S):
            factor, failed = torch.linalg.cholesky_ex(S)
            if not failed:
                return _triangular_product(factor, other)
    _, S, other = candidates[-1]  # the one of lower rank
    w, V_DD = torch.linalg.eigh(S)
    kept = w > w[-1] * len(w) * EPS
    factor = V_DD[:, kept] * w[kept].sqrt()
    product: torch.Tensor = factor.T @ (other @ factor)
    return product


def _triangular_product(lower: torch.Tensor, S: torch.Tensor) -> torch.Tensor:
    """The lower triangle of L^T S L by blocks of columns: what lies above it, and the zeros of L,
    are not computed, which leaves a third of the operations of two whole products.
    """
    product = torch.zeros_like(S)
    for start in range(0, len(S), COLUMN_BLOCK):
        block = slice(start, start + COLUMN_BLOCK)
        half = S[start:, start:] @ lower[start:, block]
        product[start:, block] = lower[start:, start:].T @ half
    return product


def _assemble(
    delta: NDArray[np.float64],
    trace1: float,
    trace2: float,
    squared: torch.Tensor,
    rank: int,
) -> FrechetDistance:
    """The distance from the symmetric matrix whose eigenvalues are those of S1 S2."""
    w = torch.linalg.eigvalsh(squared, UPLO="L")
    scale = max(trace1 * trace2, float(np.finfo(np.float64).tiny))
    clamped = abs(float(w.clamp(max=0).sum())) / scale
    if clamped > 1000 * len(delta) * EPS:
        raise UndefinedMetric(
            f"the moments are not those of a sample: negative eigenvalues of {clamped:.1e} relative"
        )
    trace_term = float(w[max(len(w) - rank, 0) :].clamp(min=0).sqrt().sum())
    return _total(delta, trace1, trace2, trace_term, clamped=clamped, dim=len(delta))


def _total(
    delta: NDArray[np.float64],
    trace1: float,
    trace2: float,
    trace_term: float,
    *,
    clamped: float,
    dim: int,
) -> FrechetDistance:
    mean_term = float(delta @ delta)
    value = mean_term + trace1 + trace2 - 2 * trace_term
    if not math.isfinite(value):
        raise UndefinedMetric("the features are too large: the Fréchet distance overflows")
    # A rounding error e of an eigenvalue is an error of at most sqrt(e) in its square root.
    rounding = dim * math.sqrt(EPS) * math.sqrt(trace1) * math.sqrt(trace2) + EPS * mean_term
    if value < -rounding:
        raise UndefinedMetric(
            f"the Fréchet distance came out as {value:.3g}, below zero by more than rounding"
        )
    return FrechetDistance(max(value, 0.0), mean_term, trace_term, clamped)


def _fid(inputs: MetricInputs) -> MetricValue:
    real, fake = inputs.real_moments, inputs.fake_features
    if len(fake) == inputs.num_fake <= real.dim:
        distance = frechet_distance_to_features(real, fake)
    else:
        distance = frechet_distance(real, inputs.fake_moments)
    return MetricValue(
        distance.value,
        details={
            "mean_term": distance.mean_term,
            "covariance_term": distance.covariance_term,
            "clamped": distance.clamped,
        },
    )


def _fid_infinity(inputs: MetricInputs) -> MetricValue:
    line, sizes, values = fid_infinity(inputs.real_moments, inputs.fake_features, inputs.seed)
    return MetricValue(
        line.intercept,
        details={
            "slope": line.slope,
            "residual_sd": line.residual_sd,
            "sizes": sizes,
            "fid_at_sizes": values,
        },
    )


FID = Metric(
    name="fid",
    title="Fréchet distance",
    meaning="distance from the distribution of real images",
    unit="squared feature units",
    citation="Heusel et al. 2017, arXiv:1706.08500",
    direction="lower",
    scale="log",
    compute=_fid,
    reads=frozenset({"moments"}),
    uses=frozenset(),
    sees="all",
    depends_on_count=True,
    uncertainty=fid_interval,
    constants={"covariance_divisor": "n - 1"},
    highlight=True,
    saying=Saying(
        "The distance to real images (FID) is {value}; lower is better.",
        "The distance to real images (FID) is {value}; the same number of real images would score "
        "{expected}.",
        hint="Precision and recall tell whether quality or variety is missing.",
    ),
)
FID_INFINITY = Metric(
    name="fid_infinity",
    title="Fréchet distance, extrapolated",
    meaning="Fréchet distance for infinitely many images",
    unit="squared feature units",
    citation="Chong and Forsyth 2020, arXiv:1911.07023",
    direction="lower",
    scale="symlog",
    compute=_fid_infinity,
    reads=frozenset({"moments"}),
    uses=frozenset(),
    sees="subset",
    depends_on_count=True,
    uncertainty=fid_infinity_interval,
    constants={"sizes": INFINITY_SIZES, "min_images": INFINITY_MIN_IMAGES},
)
