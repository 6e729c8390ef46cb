"""Kernel distance: the squared maximum mean discrepancy of two sets of features.

    MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)
    k(x, y) = (x . y / D + 1)^3

Binkowski et al. 2018 (arXiv:1801.01401), section 4, with the unbiased estimator of Gretton et al.
2012, eq. 3: mean and standard deviation (divisor: subsets) over 100 subsets of 1,000 images of
each side. An unbiased estimate of a small distance is often negative and is not clamped. The
subsets overlap, so the spread is not a standard error.

Subsets are those of torch-fidelity 0.4 (`kid_features_to_metric`), and so is the value, to 1e-6
relative when torch-fidelity is given float64 features (measured over D = 64 to 2048 and distances
of 1e-4 and more: 1e-6 and less; nearer to zero 1e-9 absolute). Given float32, as it is by default,
it adds up (g + 1)^3, g = x . y / D, in float32, where the three means cancel: 3e-5 to 4e-4 off.
Here products are float32 too, but (g + 1)^3 - 1 = g^3 + 3 g^2 + 3 g is added up term by term: only
g is rounded, the linear term is exact from column sums, the diagonal is left out before anything
is added, and row sums are totalled in float64. Float64 products take 2 to 2.5 times as long.

Shape legend: N images, D features, M images of a subset.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.metrics.base import Metric, MetricInputs, MetricValue, UndefinedMetric

SUBSETS = 100
SUBSET_SIZE = 1000
MAX_FEATURE = 1e48  # its 6th power is still finite


class KernelDistance(NamedTuple):
    """Mean and standard deviation (divisor: `subsets`) of the squared MMD over the subsets, and
    the size of each subset. Dimensionless; may be negative.
    """

    mean: float
    std: float
    subset_size: int


def kernel_distance(
    x_ND: NDArray[np.floating],
    y_ND: NDArray[np.floating],
    *,
    subsets: int = SUBSETS,
    subset_size: int = SUBSET_SIZE,
    seed: int = 2020,
) -> KernelDistance:
    """Squared MMD of `x_ND` and `y_ND` (float, N1,D and N2,D) with the cubic kernel.

    Subsets have min(`subset_size`, N1, N2) images, drawn without replacement by
    `numpy.random.RandomState(seed)`, first from `x_ND`, as torch-fidelity does. Raises
    `UndefinedMetric` when a side has one image or a value is not finite.
    """
    if x_ND.shape[1] != y_ND.shape[1]:
        raise InputError(
            f"features of {x_ND.shape[1]} and of {y_ND.shape[1]} dimensions cannot be compared"
        )
    size = min(subset_size, len(x_ND), len(y_ND))
    if size < 2:
        raise UndefinedMetric(f"KID needs at least 2 images, got {len(x_ND)} and {len(y_ND)}")
    largest = max(float(np.abs(x_ND).max()), float(np.abs(y_ND).max()))
    if not largest < MAX_FEATURE:
        raise UndefinedMetric("features hold NaN, infinite or overflowing values")
    scale = (largest or 1.0) * math.sqrt(x_ND.shape[1])  # products stay within [-1, 1]
    x, y = ((f_ND / np.float64(scale)).astype(np.float32) for f_ND in (x_ND, y_ND))
    norm_x, norm_y = (np.einsum("nd,nd->n", f, f, dtype=np.float64) for f in (x, y))
    gain = largest * largest or 1.0
    rng = np.random.RandomState(seed)  # torch-fidelity's generator
    values = np.empty(subsets)
    for i in range(subsets):
        rows_x = rng.choice(len(x), size, replace=False)
        rows_y = rng.choice(len(y), size, replace=False)
        values[i] = _squared_mmd(_subset(x, norm_x, rows_x), _subset(y, norm_y, rows_y), gain)
    return KernelDistance(float(values.mean()), float(values.std()), size)


class _Subset(NamedTuple):
    """Rows (float32 M,D), their sum (float64 D) and the sum of their squared norms."""

    rows: NDArray[np.float32]
    total: NDArray[np.float64]
    squares: float


def _subset(
    f_ND: NDArray[np.float32], norm_N: NDArray[np.float64], rows: NDArray[np.int64]
) -> _Subset:
    rows_MD = f_ND[rows]
    return _Subset(rows_MD, rows_MD.sum(axis=0, dtype=np.float64), float(norm_N[rows].sum()))


def _squared_mmd(x: _Subset, y: _Subset, gain: float) -> float:
    """With the kernel (gain x . y + 1)^3 - 1: the constant cancels."""
    m = len(x.rows)
    within = _kernel_sum(x, x, gain) + _kernel_sum(y, y, gain)
    return within / (m * (m - 1)) - 2 * _kernel_sum(x, y, gain) / m**2


def _kernel_sum(x: _Subset, y: _Subset, gain: float) -> float:
    """Sum over all pairs, or over pairs of different rows when `y` is `x`."""
    g_MM = x.rows @ y.rows.T
    linear = float(x.total @ y.total)
    if y is x:  # before the sums: the diagonal may outweigh all the rest
        np.fill_diagonal(g_MM, 0)
        linear -= x.squares
    power_MM = g_MM * g_MM
    squares = float(power_MM.sum(axis=1).sum(dtype=np.float64))
    power_MM *= g_MM
    cubes = float(power_MM.sum(axis=1).sum(dtype=np.float64))
    return gain**3 * cubes + 3 * gain**2 * squares + 3 * gain * linear


def _compute(inputs: MetricInputs) -> MetricValue:
    distance = kernel_distance(inputs.fake_features, inputs.real_features, seed=inputs.seed)
    return MetricValue(
        distance.mean, spread=distance.std, details={"subset_size": distance.subset_size}
    )


KID_POLY3 = Metric(
    name="kid_poly3",
    title="Kernel distance",
    compute=_compute,
    reads=frozenset({"features"}),
    direction="lower",
    unit="squared MMD",
    citation="Binkowski et al. 2018, arXiv:1801.01401",
    expected=lambda _sizes: 0.0,
    constants={"subsets": SUBSETS, "subset_size": SUBSET_SIZE, "degree": 3, "coefficient": 1.0},
)
