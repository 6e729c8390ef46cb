"""C_T: are the folder's images closer to the training images than held-out images are?

Features are divided into 3 cells by k-means on the train images. In each cell the distances of the
generated images to their nearest train image are ranked among those of the held-out images:

    Z = (U - m n / 2) / sqrt(m n (m + n + 1) / 12),
    U = number of pairs with generated > held-out, ties counted half

C_T is the mean of Z over the cells, weighted by their share of the held-out images. Cells with
fewer than 20 generated or held-out images are excluded. Values far below 0 (-3 is the usual alarm)
mean that the images are copies; values far above 0, that they do not reach the data. Z is a test
statistic, not a distance: it grows with the square root of the numbers of images. Only copies of
the train images whose features the reference stores are detected (measured for 10,000 images drawn
from all 60,000 of MNIST: -14; from the 10,000 stored: -80).

Meehan, Chaudhuri and Dasgupta 2020 (arXiv:2004.05675). Their code takes the nearest train image
within the cell and shifts U by 1/2. Here it is the nearest train image of all, as in the paper.
Z agrees with `scipy.stats.mannwhitneyu` (asymptotic, without continuity) where there are no ties.

The standard error is for the draw of the generated images, with cells and held-out images held
fixed: the infinitesimal jackknife over U and the number of images in each cell.

Shape legend: N rows, D features, K cells, m generated and n held-out images of a cell.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.metrics.base import Metric, MetricInputs, MetricValue, UndefinedMetric
from bench.metrics.ct_cells import CELL_SEED, CELLS, Cells
from bench.statistics.intervals import Uncertainty, normal_interval

LEAST_IN_CELL = 20  # of either side, as in the authors' experiments


class CTScore(NamedTuple):
    """C_T with its standard error, and Z (NaN if excluded) and numbers of images by cell."""

    value: float
    standard_error: float
    z: NDArray[np.float64]  # K
    num_generated: NDArray[np.int64]  # K
    num_held_out: NDArray[np.int64]  # K


def ct_score(
    generated: NDArray[np.floating],
    generated_cells: NDArray[np.int64],
    held_out: NDArray[np.floating],
    held_out_cells: NDArray[np.int64],
) -> CTScore:
    """Return C_T from distances to the nearest train image and the cell, 0 to 2, of each image.

    Raises `UndefinedMetric` when no cell holds enough images of both sides.
    """
    m_K = np.bincount(generated_cells, minlength=CELLS)
    n_K = np.bincount(held_out_cells, minlength=CELLS)
    kept_K = np.minimum(m_K, n_K) >= LEAST_IN_CELL
    if not kept_K.any():
        raise UndefinedMetric(
            f"ct_score needs a cell with {LEAST_IN_CELL} images of the folder and of the held-out "
            f"ones, got {m_K.tolist()} and {n_K.tolist()}"
        )
    weight_K = np.where(kept_K, n_K, 0) / n_K[kept_K].sum()
    z_K = np.full(len(m_K), np.nan)
    influence = np.zeros(len(generated))
    for k in np.flatnonzero(kept_K):
        inside = generated_cells == k
        above = _excess(generated[inside], held_out[held_out_cells == k])
        m, n = len(above), int(n_K[k])
        scale = math.sqrt(12 * n / (m * (m + n + 1)))
        z_K[k] = scale * above.sum()
        # d Z = scale d sum + Z d log scale, with one more image in the cell
        of_count = -0.5 * (1 / m + 1 / (m + n + 1))
        influence[inside] = weight_K[k] * (scale * above + z_K[k] * of_count)
    num = len(influence)
    error = math.sqrt(num * influence.var(ddof=1))
    return CTScore(float((weight_K * np.nan_to_num(z_K)).sum()), error, z_K, m_K, n_K)


def _excess(x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the share of `y` below each of `x`, ties counted half, less 1/2."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([x, y]))[: len(x)]
    return np.asarray((ranks - rankdata(x)) / len(y) - 0.5, np.float64)


def _of_inputs(inputs: MetricInputs) -> CTScore:
    from bench.statistics.neighbours.search import nearest_neighbours

    held_out, nearest = inputs.held_out_features, inputs.held_out_nearest
    if held_out is None or not len(held_out):
        raise UndefinedMetric("the reference has no held-out images")
    if nearest is None:
        nearest = nearest_neighbours(held_out, inputs.real_features, 1, device=inputs.device)
    if not np.isfinite(inputs.fake_features).all():
        raise UndefinedMetric("features hold NaN or infinite values")
    cells = Cells(inputs.real_features)
    return ct_score(
        inputs.neighbours.fake_to_real.distances[:, 0],
        cells.of(inputs.fake_features),
        nearest.distances[:, 0],
        cells.of(held_out),
    )


def _ct_score(inputs: MetricInputs) -> MetricValue:
    found = _of_inputs(inputs)
    return MetricValue(
        found.value,
        details={
            "standard_error": found.standard_error,
            "z_by_cell": [float(z) for z in found.z if math.isfinite(z)],
            "n_by_cell": found.num_generated.tolist(),
            "n_held_out_by_cell": found.num_held_out.tolist(),
        },
    )


def _uncertainty(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    error = found.details["standard_error"]
    assert isinstance(error, float)  # noqa: S101  (`_ct_score` sets it)
    error *= math.sqrt(inputs.design_effect(len(inputs.fake_features)))
    return normal_interval(found.value, error, "infinitesimal jackknife")


def _expected(_: object) -> float:
    return 0.0


CT_SCORE = Metric(
    name="ct_score",
    title="C_T, data copying",
    meaning="below 0: closer to training images than real images are",
    unit="standard deviations",
    citation="Meehan et al. 2020, arXiv:2004.05675",
    direction="target",
    scale="linear",
    compute=_ct_score,
    reads=frozenset({"features", "held_out"}),
    uses=frozenset({"neighbours"}),
    sees="subset",
    depends_on_count=True,
    expected=_expected,
    uncertainty=_uncertainty,
    constants={"cells": CELLS, "cell_seed": CELL_SEED, "least_in_cell": LEAST_IN_CELL},
)
