"""Kernel distance: the squared maximum mean discrepancy of two sets of features.

    MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)
    k(x, y) = (x . y / D + 1)^3

Binkowski et al. 2018 (arXiv:1801.01401), section 4, with the unbiased estimator of Gretton et al.
2012, eq. 3: mean and standard deviation (divisor: subsets) over 100 subsets of 1,000 images of
each side. An unbiased estimate of a small distance is often negative and is not clamped. The
subsets overlap, so the spread is not a standard error: `bench.metrics.kid_uncertainty` gives one.

Subsets are those of torch-fidelity 0.4 (`kid_features_to_metric`), and so is the value, to 1e-6
relative when torch-fidelity is given float64 features (measured over D = 64 to 2048 and distances
of 1e-4 and more: 1e-6 and less; nearer to zero 1e-9 absolute). Given float32, as it is by default,
it adds up (g + 1)^3, g = x . y / D, in float32, where the three means cancel: 3e-5 to 4e-4 off.
Here products are float32 too, but (g + 1)^3 - 1 = g^3 + 3 g^2 + 3 g is added up term by term: only
g is rounded, the linear term is exact from column sums, the diagonal is left out before anything
is added, row sums are totalled in float64, and of the symmetric products 5/8 are computed. Float64
products take 2 to 2.5 times as long.

Shape legend: N images, D features, M images of a subset.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import InputError
from bench.metrics.base import Metric, MetricInputs, MetricValue, UndefinedMetric
from bench.metrics.kid_uncertainty import expand_kernel, subset_factors
from bench.runtime.devices import strict_float32
from bench.statistics.intervals import Uncertainty, score_interval

SUBSETS = 100
SUBSET_SIZE = 1000
ROW_BLOCK = 250  # a quarter of a subset: 5/8 of the products are left
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
    device: str = "cpu",
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
    # a power of two, so that scaling is exact; products stay within [-1, 1]
    scale = 2.0 ** math.ceil(math.log2((largest or 1.0) * math.sqrt(x_ND.shape[1])))
    gain = scale * scale / x_ND.shape[1]
    rng = np.random.RandomState(seed)  # torch-fidelity's generator
    x, y = (_Side(f_ND, 1 / scale, size, device) for f_ND in (x_ND, y_ND))
    values = np.empty(subsets)
    with strict_float32():
        for i in range(subsets):
            for side in (x, y):
                side.choose(rng.choice(len(side.f_ND), size, replace=False))
            values[i] = _squared_mmd(x, y, gain)
    return KernelDistance(float(values.mean()), float(values.std()), size)


class _Side:
    """One set of features on the device, and the subset of it that is being looked at.

    The memory of a subset is used again for the next: fresh pages cost a tenth of the time.
    """

    def __init__(self, f_ND: NDArray[np.floating], factor: float, size: int, device: str) -> None:
        scaled = np.multiply(f_ND, factor, dtype=f_ND.dtype, order="C")  # a copy of our own
        self.f_ND = torch.from_numpy(scaled.astype(np.float32, copy=False)).to(device)
        self.norm_N = (self.f_ND * self.f_ND).sum(dim=1, dtype=torch.float64)
        self.rows_MD = torch.empty(size, f_ND.shape[1], device=device)
        self.total_D: Tensor
        self.squares = 0.0

    def choose(self, rows: NDArray[np.int64]) -> None:
        index = torch.from_numpy(rows).to(self.f_ND.device)
        torch.index_select(self.f_ND, 0, index, out=self.rows_MD)
        self.total_D = self.rows_MD.sum(dim=0, dtype=torch.float64)
        self.squares = float(self.norm_N[index].sum())


def _squared_mmd(x: _Side, y: _Side, gain: float) -> float:
    """With the kernel (gain x . y + 1)^3 - 1: the constant cancels."""
    m = len(x.rows_MD)
    within = _within(x, gain) + _within(y, gain)
    linear = float(x.total_D @ y.total_D)
    across = _kernel_sum(linear, *_power_sums(x.rows_MD @ y.rows_MD.T), gain)
    return within / (m * (m - 1)) - 2 * across / m**2


def _within(side: _Side, gain: float) -> float:
    """Kernel sum over pairs of different rows: by symmetry, blocks of rows against themselves and
    against the rows behind them.
    """
    rows_MD = side.rows_MD
    squares = cubes = 0.0
    for start in range(0, len(rows_MD), ROW_BLOCK):
        block = rows_MD[start : start + ROW_BLOCK]
        g_BM = block @ rows_MD[start:].T
        g_BM.fill_diagonal_(0)  # before the sums: the diagonal may outweigh all the rest
        own = _power_sums(g_BM[:, : len(block)])
        behind = _power_sums(g_BM[:, len(block) :])
        squares += own[0] + 2 * behind[0]
        cubes += own[1] + 2 * behind[1]
    linear = float(side.total_D @ side.total_D) - side.squares
    return _kernel_sum(linear, squares, cubes, gain)


def _power_sums(g_BM: Tensor) -> tuple[float, float]:
    """Sums of the squares and cubes: rows in float32, their totals in float64."""
    power_BM = g_BM * g_BM
    squares = float(power_BM.sum(dim=1).double().sum())
    power_BM *= g_BM
    return squares, float(power_BM.sum(dim=1).double().sum())


def _kernel_sum(linear: float, squares: float, cubes: float, gain: float) -> float:
    return gain**3 * cubes + 3 * gain**2 * squares + 3 * gain * linear


def _compute(inputs: MetricInputs) -> MetricValue:
    distance = kernel_distance(
        inputs.fake_features, inputs.real_features, seed=inputs.seed, device=inputs.device
    )
    return MetricValue(
        distance.mean, spread=distance.std, details={"subset_size": distance.subset_size}
    )


def _interval(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    fake, real = inputs.fake_features, inputs.real_features
    size = found.details["subset_size"]
    assert isinstance(size, int)  # noqa: S101  (as `_compute` gives it)
    expansion = expand_kernel(fake, real, seed=inputs.seed, device=inputs.device)
    if not all(math.isfinite(number) for number in expansion):
        raise UndefinedMetric("the features are too large: the interval overflows")
    linear, pairs = subset_factors(len(fake), len(real), size, SUBSETS)
    variance = expansion.variance(len(fake), linear=linear, pairs=pairs)
    return score_interval(found.value, variance, expansion, len(fake), "U-statistic of the subsets")


KID_POLY3 = Metric(
    name="kid_poly3",
    title="Kernel distance",
    meaning="another distance from real images, without bias",
    unit="squared MMD",
    citation="Binkowski et al. 2018, arXiv:1801.01401",
    direction="lower",
    scale="symlog",
    compute=_compute,
    reads=frozenset({"features"}),
    uses=frozenset(),
    sees="subset",
    depends_on_count=False,
    expected=lambda _sizes: 0.0,
    uncertainty=_interval,
    constants={"subsets": SUBSETS, "subset_size": SUBSET_SIZE, "degree": 3, "coefficient": 1.0},
)
