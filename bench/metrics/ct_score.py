"""C_T: do the folder's images lie closer to the training images than held-out images do?

Features are divided into 3 cells by k-means on the train images. In each cell the distances of the
generated images to their nearest train image are ranked among those of the held-out ones:

    Z = (U - m n / 2) / sqrt(m n (m + n + 1) / 12),
    U = number of pairs with generated > held-out, ties counted half

and C_T is the mean of Z over the cells, weighted by their share of the held-out images. Cells with
fewer than 20 generated or held-out images are left out. Far below 0 (-3 is the usual alarm): the
images are copies; far above: they do not reach the data. Z is a test statistic, not a distance: it
grows with the square root of the numbers of images. Only copies of the train images whose features
the reference keeps are seen (measured, 10,000 images drawn from all 60,000 of MNIST: -14; from the
10,000 kept: -80).

Meehan, Chaudhuri and Dasgupta 2020 (arXiv:2004.05675). Their code takes the nearest
train image within the cell and shifts U by 1/2; here it is the nearest of all, as in the paper.
Z agrees with `scipy.stats.mannwhitneyu` (asymptotic, without continuity) where there are no ties.

The standard error is for the draw of the generated images, cells and held-out images held fixed:
the infinitesimal jackknife over U and the number of images in each cell.

Shape legend: N rows, D features, K cells, m generated and n held-out images of a cell.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from bench.metrics.base import Metric, MetricInputs, MetricValue, UndefinedMetric
from bench.statistics.intervals import Uncertainty, normal_interval
from bench.statistics.neighbours.search import nearest_neighbours

CELLS = 3
CELL_SEED = 2020
LEAST_IN_CELL = 20  # of either side, as in the authors' experiments
DRAFTS = 10
DRAFT_ROWS = 3072
LLOYD_STEPS = 50


class CTScore(NamedTuple):
    """`value` and its standard error; Z by cell (NaN where left out), and who is in it."""

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
    """C_T of distances to the nearest train image, and the cell in 0 to 2 of each image.

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
    """Share of `y` below each of `x`, ties counted half, less 1/2."""
    ranks = rankdata(np.concatenate([x, y]))[: len(x)]
    return np.asarray((ranks - rankdata(x)) / len(y) - 0.5, np.float64)


class Cells:
    """A k-means division of the space of `train_ND` (float32) into 3 cells, always the same."""

    def __init__(self, train_ND: NDArray[np.float32]) -> None:
        self._mean = train_ND.mean(axis=0, dtype=np.float64)
        low, high = train_ND.min(axis=0), train_ND.max(axis=0)
        self._scale = float(np.maximum(high - self._mean, self._mean - low).max()) or 1.0
        x_ND = self._scaled(train_ND)
        self._centres_KD = _best_draft(x_ND, np.random.default_rng(CELL_SEED))
        labels = self._nearest(x_ND)
        for _ in range(LLOYD_STEPS):
            member_NK = torch.nn.functional.one_hot(labels, CELLS).to(x_ND.dtype)
            size_K = member_NK.sum(dim=0)[:, None]
            means_KD = member_NK.T @ x_ND / size_K.clamp(min=1)
            # an empty cell keeps its centre
            self._centres_KD = torch.where(size_K > 0, means_KD, self._centres_KD)
            previous, labels = labels, self._nearest(x_ND)
            if torch.equal(previous, labels):
                break

    def of(self, f_ND: NDArray[np.float32]) -> NDArray[np.int64]:
        """The cell of each row, int64 N."""
        return self._nearest(self._scaled(f_ND)).numpy()

    def _scaled(self, f_ND: NDArray[np.float32]) -> torch.Tensor:
        """About the mean of the train images, of size about 1: k-means minds neither."""
        return torch.from_numpy(((f_ND - self._mean) / self._scale).astype(np.float32))

    def _nearest(self, x_ND: torch.Tensor) -> torch.Tensor:
        norm_K = self._centres_KD.square().sum(dim=1)
        return torch.addmm(norm_K, x_ND, self._centres_KD.T, alpha=-2).argmin(dim=1)


def _best_draft(x_ND: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """The k-means++ centres K,D (Arthur and Vassilvitskii 2007) of lowest inertia among DRAFTS."""
    s_ND = x_ND[torch.from_numpy(rng.permutation(len(x_ND))[:DRAFT_ROWS])]
    best, least = s_ND[:CELLS], math.inf
    for _ in range(DRAFTS):
        chosen = [int(rng.integers(len(s_ND)))]
        nearest_N = (s_ND - s_ND[chosen[0]]).square().sum(dim=1).double()
        while len(chosen) < CELLS:
            # Rows that coincide with a centre have no weight; the floor serves all-equal rows.
            bounds = (nearest_N + 1e-30).cumsum(dim=0).numpy()
            row = int(np.searchsorted(bounds, rng.random() * bounds[-1]))
            chosen.append(min(row, len(s_ND) - 1))
            distance_N = (s_ND - s_ND[chosen[-1]]).square().sum(dim=1).double()
            nearest_N = torch.minimum(nearest_N, distance_N)
        inertia = float(nearest_N.sum())
        if inertia < least:
            best, least = s_ND[chosen], inertia
    return best.clone()


def _of_inputs(inputs: MetricInputs) -> CTScore:
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


def _uncertainty(_: MetricInputs, found: MetricValue) -> Uncertainty:
    error = found.details["standard_error"]
    assert isinstance(error, float)  # noqa: S101  (as `_ct_score` gives it)
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
