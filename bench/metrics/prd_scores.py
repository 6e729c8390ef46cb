"""PRD scores: `prd_f8` (recall-like) and `prd_f1_8` (precision-like), two numbers of one curve.

Sajjadi et al. 2018 (arXiv:1806.00035), section 4.1. The curve is that of `bench.metrics.prd`,
computed once for both rows.

The interval is for the expectation at this number of images. An image in cell k adds 1 to the
precision of a run where the generated side has less than its share (q_k < l p_k), at the slope l
of the largest F; recall is precision over l. With fixed cells that is a mean of independent images
over the runs. Whether a cell has less than its share is replaced by the probability of it, for a
normally distributed share, since otherwise a few cells near the limit would decide the error. The
clusterings add the variance over runs, divided by their number. Cells depend on the images, which
the runs of one draw share: cells follow the images, which lowers the variance of the shares, and
differ from draw to draw, which adds to that of the runs. The variance is taken as 0.7 times that of
the images plus 2 times that of the runs. Relative to the standard deviation over 80 to 120 draws of
1,000 images, the standard error of `prd_f8` is then 0.97 for a trained generator, 0.96 for unequal
digits and 1.10 for Gaussian features (`prd_f1_8`: 0.91, 1.08, 0.98). For digits that are nearly
perfect it is 1.44 (1.47): those intervals are too wide.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bench.metrics.base import Metric, MetricInputs, MetricValue, UndefinedMetric
from bench.metrics.prd import ANGLES, CLUSTERS, DRAFTS, RUNS, PRDClusters, max_f_beta
from bench.statistics.intervals import Uncertainty, share_interval, standard_error

BETA = 8.0
IMAGE_FACTOR = 0.7
RUN_FACTOR = 2.0
CURVE_POINTS = 21


def _compute(inputs: MetricInputs, beta: float) -> MetricValue:
    n = min(len(inputs.real_features), len(inputs.fake_features))
    if n < CLUSTERS:
        raise UndefinedMetric(f"PRD needs at least {CLUSTERS} images on each side, got {n}")
    curve = inputs.prd.thinned(CURVE_POINTS)
    return MetricValue(
        max_f_beta(inputs.prd, beta),
        details={
            "images_per_side": n,
            "curve_precision": curve.precision.tolist(),
            "curve_recall": curve.recall.tolist(),
        },
        n_real=n,
    )


def f_beta_influence(
    clusters: PRDClusters, beta: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the influence of each generated row and of each run on the largest F_beta.

    The influence of the rows (n, mean 0) is on the mean curve, that of the runs (R, mean 0) on the
    mean over runs.
    """
    from scipy.special import ndtr

    curve = clusters.curve
    weighted = beta**2 * curve.precision + curve.recall
    score = (1 + beta**2) * curve.precision * curve.recall / np.where(weighted > 0, weighted, 1.0)
    best = int(score.argmax())
    p, r = float(curve.precision[best]), float(curve.recall[best])
    if p <= 0 or r <= 0:
        return np.zeros(clusters.fake.shape[1]), np.zeros(len(clusters.fake))
    slope = p / r
    by_precision = (1 + beta**2) * (r / (beta**2 * p + r)) ** 2
    by_recall = (1 + beta**2) * (beta * p / (beta**2 * p + r)) ** 2
    gain = by_precision + by_recall / slope
    real_RK, fake_RK = clusters.shares()
    n = clusters.fake.shape[1]
    noise_RK = np.sqrt((fake_RK + 1 / n) * (1 - fake_RK) / n + 1 / n**2)
    short_RK = ndtr((slope * real_RK - fake_RK) / noise_RK)
    counted = np.take_along_axis(short_RK, clusters.fake, axis=1).mean(axis=0)
    of_run = np.minimum(slope * real_RK, fake_RK).sum(axis=1)
    return gain * (counted - counted.mean()), gain * (of_run - of_run.mean())


def _interval(inputs: MetricInputs, found: MetricValue, beta: float) -> Uncertainty:
    of_row, of_run = f_beta_influence(inputs.prd_clusters, beta)
    factor = IMAGE_FACTOR * inputs.design_effect(len(of_row))
    of_images = math.sqrt(factor) * standard_error(of_row)
    error = math.hypot(of_images, math.sqrt(RUN_FACTOR) * standard_error(of_run))
    return share_interval(found.value, error, len(of_row), "multinomial delta and runs")


_CONSTANTS = {"clusters": CLUSTERS, "runs": RUNS, "drafts": DRAFTS, "angles": ANGLES}

PRD_F8 = Metric(
    name="prd_f8",
    title="PRD F8 (recall)",
    meaning="recall, read from the PRD curve",
    unit="share",
    citation="Sajjadi et al. 2018, arXiv:1806.00035",
    direction="higher",
    scale="linear",
    compute=lambda inputs: _compute(inputs, BETA),
    reads=frozenset({"features"}),
    uses=frozenset({"prd"}),
    sees="subset",
    depends_on_count=True,
    uncertainty=lambda inputs, found: _interval(inputs, found, BETA),
    constants={**_CONSTANTS, "beta": BETA},
)
PRD_F1_8 = Metric(
    name="prd_f1_8",
    title="PRD F1/8 (precision)",
    meaning="precision, read from the PRD curve",
    unit="share",
    citation="Sajjadi et al. 2018, arXiv:1806.00035",
    direction="higher",
    scale="linear",
    compute=lambda inputs: _compute(inputs, 1 / BETA),
    reads=frozenset({"features"}),
    uses=frozenset({"prd"}),
    sees="subset",
    depends_on_count=True,
    uncertainty=lambda inputs, found: _interval(inputs, found, 1 / BETA),
    constants={**_CONSTANTS, "beta": 1 / BETA},
)
