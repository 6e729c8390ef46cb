"""Fréchet distance extrapolated to infinitely many generated images.

Chong and Forsyth 2020 (arXiv:1911.07023), section 4. FID_n is close to a straight line in 1/n,
and its intercept is the value for infinitely many generated images. The line goes through 15 sizes
from n/10 to n, with one random subset of the images each. The real side keeps its own number of
images. The least-squares line agrees with `numpy.polyfit` to 1e-10 relative.

Shape legend: N samples, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.metrics.base import Metric, MetricInputs, MetricValue, UndefinedMetric
from bench.metrics.frechet_intervals import fid_infinity_interval
from bench.statistics.moments import Moments

INFINITY_SIZES = 15
INFINITY_MIN_IMAGES = 30  # with fewer, the smallest of the 15 sizes has fewer than 3 images
CANCELLED = 0.1  # share of the expected variance below which a subset is computed from its rows


class LineFit(NamedTuple):
    """Least-squares line value = intercept + slope / n.

    `residual_sd` is the standard deviation of its residuals (divisor: points - 2).
    """

    intercept: float
    slope: float
    residual_sd: float


def subset_sizes(n: int) -> list[int]:
    """Return the 15 sizes of `fid_infinity`, evenly spaced from n/10 to n.

    They start at 5,000 when n >= 50,000.

    >>> subset_sizes(150)
    [15, 24, 34, 43, 53, 63, 72, 82, 92, 101, 111, 121, 130, 140, 150]
    """
    start = 5000 if n >= 50_000 else max(n // 10, 2)
    return [int(size) for size in np.linspace(start, n, INFINITY_SIZES)]


def subset_moments(f_ND: NDArray[np.floating], sizes: Sequence[int], seed: int) -> list[Moments]:
    """Return the moments of one random subset of the rows of `f_ND` for each size.

    Subsets are drawn independently. Features are centred first, and a subset of more than half of
    the rows is computed as the whole less the rest, which halves the work. Where that cancels
    digits (a feature that hardly varies in the subset), the rows are read instead.
    """
    import torch

    from bench.metrics.frechet import centred

    rng = np.random.default_rng(seed)
    x_ND, mean = centred(f_ND)
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
    """Return the least-squares line of `values` against 1 / `sizes` (3 or more different sizes).

    >>> fit = line_in_reciprocal([10, 20, 40], [8.0, 5.5, 4.25])  # 3 + 50 / n
    >>> round(fit.intercept, 12), round(fit.slope, 12)
    (3.0, 50.0)
    """
    x, y = 1 / np.asarray(sizes, dtype=np.float64), np.asarray(values, dtype=np.float64)
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    intercept = float(y.mean() - slope * x.mean())
    residual_sd = float(np.sqrt(((y - intercept - slope * x) ** 2).sum() / (len(x) - 2)))
    return LineFit(intercept, slope, residual_sd)


def fid_infinity(
    real: Moments, f_ND: NDArray[np.floating], seed: int
) -> tuple[LineFit, list[int], list[float]]:
    """Return the line through 15 (size, FID) points of random subsets of `f_ND`, sizes and values.

    The intercept of the line is FID_infinity. It may be slightly negative. Raises
    `UndefinedMetric` for fewer than 30 images, and as `bench.metrics.frechet.frechet_distance`.
    """
    from bench.metrics.frechet import frechet_distance, frechet_distance_to_features

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
    least=0.0,
)
