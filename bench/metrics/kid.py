"""Kernel distance: the squared maximum mean discrepancy of two sets of features.

    MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)
    k(x, y) = (x . y / D + 1)^3

Binkowski et al. 2018 (arXiv:1801.01401), section 4, with the unbiased estimator of Gretton et al.
2012, eq. 3: mean and standard deviation (divisor: subsets) over 100 subsets of 1,000 images of
each side. An unbiased estimate of a small distance is often negative and is not clamped. The
subsets overlap, so the spread is not a standard error.

Subsets are those of torch-fidelity 0.4 (`kid_features_to_metric`), and so is the value: to 1e-10
relative when it is given float64 features. Given float32 it sums the kernel in float32, where the
three means cancel: measured relative error of its own 5e-6 at KID = 1e-3 (D=128) and 2e-4 at
KID = 1e-4 (D=2048). So the sums here are float64. A float32 product with float64 sums takes 0.6 of
the time and is off by 1e-6 at the same KIDs.

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
    x, y = _augmented(x_ND), _augmented(y_ND)
    rng = np.random.RandomState(seed)  # torch-fidelity's generator
    values = np.empty(subsets)
    for i in range(subsets):
        rows_x = rng.choice(len(x), size, replace=False)
        rows_y = rng.choice(len(y), size, replace=False)
        values[i] = _squared_mmd(x[rows_x], y[rows_y])
    if not np.isfinite(values).all():
        raise UndefinedMetric("features hold NaN, infinite or overflowing values")
    return KernelDistance(float(values.mean()), float(values.std()), size)


def _augmented(f_ND: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows z with z_i . z_j = f_i . f_j / D + 1."""
    num, dim = f_ND.shape
    return np.concatenate([f_ND / np.float64(math.sqrt(dim)), np.ones((num, 1))], axis=1)


def _squared_mmd(x_MD: NDArray[np.float64], y_MD: NDArray[np.float64]) -> float:
    m = len(x_MD)
    within = sum(_sum_of_cubes(z, z) - float(((z**2).sum(axis=1) ** 3).sum()) for z in (x_MD, y_MD))
    return within / (m * (m - 1)) - 2 * _sum_of_cubes(x_MD, y_MD) / m**2


def _sum_of_cubes(x_MD: NDArray[np.float64], y_MD: NDArray[np.float64]) -> float:
    """Sum of all kernel values. NumPy computes z @ z.T by the symmetric half."""
    g_MM = (x_MD @ y_MD.T).ravel()
    return float((g_MM * g_MM) @ g_MM)


def _compute(inputs: MetricInputs) -> MetricValue:
    distance = kernel_distance(inputs.fake_features, inputs.real_features, seed=inputs.seed)
    return MetricValue(
        distance.mean, spread=distance.std, details={"subset_size": distance.subset_size}
    )


KID_POLY3 = Metric(
    name="kid_poly3",
    title="Kernel distance",
    compute=_compute,
    needs=frozenset({"features"}),
    direction="lower",
    unit="squared MMD",
    citation="Binkowski et al. 2018, arXiv:1801.01401",
    expected=lambda _sizes: 0.0,
    constants={"subsets": SUBSETS, "subset_size": SUBSET_SIZE, "degree": 3, "coefficient": 1.0},
)
