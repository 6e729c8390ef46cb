"""Kernel distance (KID): the squared maximum mean discrepancy of two sets of features.

    MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)
    k(x, y) = (x . y / D + 1)^3

Binkowski et al. 2018 (arXiv:1801.01401), section 4, with the unbiased estimator of Gretton et al.
2012, eq. 3: mean and standard deviation (divisor: subsets) over 100 subsets of 1,000 images of
each side. An unbiased estimate of a small distance is often negative, and is not clamped.

Subsets are those of torch-fidelity 0.4 (`kid_features_to_metric`). The value agrees with it to
1e-6 relative when torch-fidelity is given float64 features (measured for D = 64 to 2048 and
distances of 1e-4 and more; nearer to zero, to 1e-9 absolute). With float32 features, its default,
torch-fidelity sums (g + 1)^3, g = x . y / D, in float32, where the three means cancel: it is off
by 3e-5 to 4e-4. Here products are float32 too, but (g + 1)^3 - 1 = g^3 + 3 g^2 + 3 g is summed
term by term. Only g is rounded, the linear term is exact from column sums, the diagonal is
excluded before anything is summed, and row sums are totalled in float64. Of the symmetric
products, 5/8 are computed. Float64 products would take 2 to 2.5 times as long.

Subsets overlap, so the spread over them is not a standard error. The interval is for draws of the
generated images with the reals held fixed. To first order an image x changes the distance by twice
the mean of k(x, x') - k(x, y) over the other images x' and the reals y. To second order, pairs of
images add the centred kernel, which is all there is near zero (Gretton et al. 2012; Hoeffding's
decomposition of a U-statistic). Means over subsets raise both by factors that follow from which
images share a subset. Kernel means are taken at 1,000 images at most, over all other images and
all reals, which is a tenth of the work of the distance itself.

Shape legend: N images, D features, M images of a subset, P images with kernel means.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.metrics.base import Metric, MetricInputs, MetricValue, UndefinedMetric
from bench.runtime.devices import strict_float32
from bench.statistics.intervals import Expansion, Uncertainty, score_interval

if TYPE_CHECKING:
    from torch import Tensor

SUBSETS = 100
SUBSET_SIZE = 1000
ROW_BLOCK = 250  # a quarter of a subset: 5/8 of the products remain
MAX_MEANS = 1000  # images whose kernel means the interval is made of
MAX_FEATURE = 1e48  # its 6th power is still finite


class KernelDistance(NamedTuple):
    """Mean and standard deviation (divisor: subsets) of the squared MMD over the subsets.

    Both are dimensionless; the mean may be negative. `subset_size` is the number of images of a
    subset.
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
    """Return the squared MMD of `x_ND` and `y_ND` (float, N1,D and N2,D) with the cubic kernel.

    Subsets have min(`subset_size`, N1, N2) images, drawn without replacement by
    `numpy.random.RandomState(seed)`, first from `x_ND`, as torch-fidelity does. Raises
    `UndefinedMetric` when a side has one image or a value is not finite, and `InputError` for
    different numbers of features.

    >>> x, y = np.array([[0.0], [1.0]]), np.array([[0.0], [2.0]])
    >>> round(kernel_distance(x, y, subsets=1).mean, 6)  # 1 + 1 - 2 (1 + 1 + 1 + 27) / 4
    -13.0
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
    """One set of features on the device, and its current subset.

    The memory of a subset is reused for the next one: fresh pages would cost a tenth of the time.
    """

    def __init__(self, f_ND: NDArray[np.floating], factor: float, size: int, device: str) -> None:
        import torch

        scaled = np.multiply(f_ND, factor, dtype=f_ND.dtype, order="C")  # a private copy
        self.f_ND = torch.from_numpy(scaled.astype(np.float32, copy=False)).to(device)
        self.norm_N = (self.f_ND * self.f_ND).sum(dim=1, dtype=torch.float64)
        self.rows_MD = torch.empty(size, f_ND.shape[1], device=device)
        self.total_D: Tensor
        self.squares = 0.0

    def choose(self, rows: NDArray[np.int64]) -> None:
        """Make `rows` the current subset."""
        import torch

        index = torch.from_numpy(rows).to(self.f_ND.device)
        torch.index_select(self.f_ND, 0, index, out=self.rows_MD)
        self.total_D = self.rows_MD.sum(dim=0, dtype=torch.float64)
        self.squares = float(self.norm_N[index].sum())


def _squared_mmd(x: _Side, y: _Side, gain: float) -> float:
    """Return the squared MMD of the current subsets with the kernel (gain x . y + 1)^3 - 1."""
    m = len(x.rows_MD)
    within = _within(x, gain) + _within(y, gain)
    linear = float(x.total_D @ y.total_D)
    across = _kernel_sum(linear, *_power_sums(x.rows_MD @ y.rows_MD.T), gain)
    return within / (m * (m - 1)) - 2 * across / m**2


def _within(side: _Side, gain: float) -> float:
    """Return the kernel sum over pairs of different rows of the current subset.

    By symmetry, blocks of rows are multiplied with themselves and with later rows only.
    """
    rows_MD = side.rows_MD
    squares = cubes = 0.0
    for start in range(0, len(rows_MD), ROW_BLOCK):
        block = rows_MD[start : start + ROW_BLOCK]
        g_BM = block @ rows_MD[start:].T
        g_BM.fill_diagonal_(0)  # before the sums, where it could outweigh all the rest
        own = _power_sums(g_BM[:, : len(block)])
        behind = _power_sums(g_BM[:, len(block) :])
        squares += own[0] + 2 * behind[0]
        cubes += own[1] + 2 * behind[1]
    linear = float(side.total_D @ side.total_D) - side.squares
    return _kernel_sum(linear, squares, cubes, gain)


def _power_sums(g_BM: Tensor) -> tuple[float, float]:
    """Return the sums of squares and cubes: row sums in float32, their totals in float64."""
    power_BM = g_BM * g_BM
    squares = float(power_BM.sum(dim=1).double().sum())
    power_BM *= g_BM
    return squares, float(power_BM.sum(dim=1).double().sum())


def _kernel_sum(linear: float, squares: float, cubes: float, gain: float) -> float:
    """Return the sum of (gain g + 1)^3 - 1 from sums of the powers of g."""
    return gain**3 * cubes + 3 * gain**2 * squares + 3 * gain * linear


class KernelExpansion(NamedTuple):
    """Second-order expansion of the squared MMD of a sample against fixed reals.

    `own_excess` is the mean kernel of an image with itself, less that with another image. A pair of
    copies exceeds the kernel of independent images by it.
    """

    expansion: Expansion
    own_excess: float


def expand_kernel(
    x_ND: NDArray[np.floating], y_ND: NDArray[np.floating], *, seed: int, device: str = "cpu"
) -> KernelExpansion:
    """Return the expansion of the squared MMD of `x_ND` against a fixed `y_ND`.

    `x_ND` (N,D) has at least 2 rows. Products are float32, of features scaled to at most 1.
    """
    import torch

    largest = max(float(np.abs(x_ND).max()), float(np.abs(y_ND).max())) or 1.0
    gain = largest**2 / x_ND.shape[1]
    x, y = (
        torch.from_numpy((side / largest).astype(np.float32)).to(device) for side in (x_ND, y_ND)
    )
    order = np.random.default_rng(seed).permutation(len(x_ND))[:MAX_MEANS]
    chosen = x[torch.from_numpy(order).to(device)]
    n = len(x)
    with strict_float32():
        own_P = _kernel((chosen * chosen).sum(dim=1).double(), gain)
        within_P = (_row_sums(chosen, x, gain) - own_P) / (n - 1)
        influence_P = 2 * (within_P - _row_sums(chosen, y, gain) / len(y))
        block_PP = _kernel((chosen @ chosen.T).double(), gain)
    block_PP -= within_P[:, None]
    block_PP -= within_P
    block_PP += within_P.mean()
    block_PP.fill_diagonal_(0)
    p = len(chosen)
    square = float(block_PP.square().sum()) / (p * (p - 1))
    influence_P -= influence_P.mean()
    third = float((influence_P**3).mean())
    third += 4 * float(influence_P @ block_PP @ influence_P) / (p * (p - 1))
    return KernelExpansion(
        Expansion(float(influence_P.var()), square, third, n),
        float(own_P.mean()) - float(within_P.mean()),
    )


def _kernel(g: Tensor, gain: float) -> Tensor:
    """Return (gain g + 1)^3 - 1; the constant cancels in the distance."""
    t = g * gain
    return t * (t * (t + 3) + 3)


def _row_sums(rows_PD: Tensor, others_ND: Tensor, gain: float) -> Tensor:
    """Return the sum of the kernel of each row over all others, float64 P."""
    import torch

    blocks = [
        _kernel(block @ others_ND.T, gain).sum(dim=1, dtype=torch.float64)
        for block in torch.split(rows_PD, ROW_BLOCK)
    ]
    return torch.cat(blocks)


def subset_factors(n_fake: int, n_real: int, size: int, subsets: int) -> tuple[float, float]:
    """Return the factors by which subsets raise the variance of first and second order.

    The comparison is one U-statistic of all images; subsets have `size` images of each side. An
    image is in a subset with probability size / n, a pair of images with size (size - 1) /
    (n (n - 1)). An image is compared only with reals of the same subset, which adds
    4 (1 - size / n_real) / (subsets size^2) to the pairs' 2 / n^2.
    """
    linear = 1 + (n_fake / size - 1) / subsets
    pair = n_fake * (n_fake - 1) / (size * (size - 1))
    met = 2 * n_fake**2 / size**2 * (1 - size / n_real)
    return linear, (1 + (pair - 1) / subsets) * n_fake / (n_fake - 1) + met / subsets


def _compute(inputs: MetricInputs) -> MetricValue:
    distance = kernel_distance(
        inputs.fake_features, inputs.real_features, seed=inputs.seed, device=inputs.device
    )
    # subsets that hold every image of both sides are all the same
    one_subset = distance.subset_size == len(inputs.fake_features) == len(inputs.real_features)
    return MetricValue(
        distance.mean,
        spread=None if one_subset else distance.std,
        details={"subset_size": distance.subset_size},
    )


def _interval(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    fake, real = inputs.fake_features, inputs.real_features
    size = found.details["subset_size"]
    assert isinstance(size, int)  # noqa: S101  (`_compute` sets it)
    expansion, own_excess = expand_kernel(fake, real, seed=inputs.seed, device=inputs.device)
    if not all(math.isfinite(number) for number in (*expansion, own_excess)):
        raise UndefinedMetric("the features are too large: the interval overflows")
    linear, pairs = subset_factors(len(fake), len(real), size, SUBSETS)
    num = inputs.independent(len(fake))
    variance = expansion.variance(num, linear=linear, pairs=pairs)
    without_copies = found.value - inputs.copy_rate * own_excess
    return score_interval(without_copies, variance, expansion, num, "U-statistic of the subsets")


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
    least=0.0,
)
