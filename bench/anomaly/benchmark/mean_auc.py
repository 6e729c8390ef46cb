"""The mean AUC of a detector over classes and seeds, with an interval.

The AUCs of one detector for ten classes are computed on the same test images, so they are not
independent: an image counts once as normal and nine times as an anomaly. The influence of test
image i on the AUC of one fit is its DeLong component (DeLong et al. 1988),

    phi_i = (V_i - AUC) / m   for an anomaly,  (V_i - AUC) / n   for a normal image,

and its influence on the mean over C classes and S seeds is the mean of its phi. The variance for
another draw of test images is the sum of squares of these means, times n / (n - 1). The variance
for another draw of seeds is s^2 / S, from the means of each seed. Together they give a t interval
with the degrees of freedom of Welch and Satterthwaite. Two detectors are compared by the
differences of their phi, image by image, and of their seeds.

The training images are held fixed, since the protocol fixes them.

Shape legend: T images of the test split, C classes, S seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from bench.anomaly.benchmark.jobs import Scores
from bench.errors import UsageError
from bench.statistics.intervals import LEVEL
from bench.statistics.roc import delong_components

F64 = NDArray[np.float64]


class FitInfluence(NamedTuple):
    """AUC of one fit, and phi (float64 T, 0 for images that it was not judged on)."""

    auc: float
    phi: F64


class MeanAuc(NamedTuple):
    """Mean over classes and seeds with its interval. `seed_sd` is the standard deviation of the
    seeds' means, None with one seed. Differences are computed from `phi` and `by_seed`.
    """

    auc: float
    standard_error: float
    low: float
    high: float
    num_classes: int
    seeds: tuple[int, ...]
    seed_sd: float | None
    phi: F64
    by_seed: F64


class MeanDifference(NamedTuple):
    """Mean AUC of the second detector minus that of the first."""

    estimate: float
    standard_error: float
    low: float
    high: float
    p_value: float


def influence(found: Scores, labels_T: NDArray[np.int64]) -> FitInfluence:
    """Return the influence of each test image on the AUC of a fit. `labels` are 1 for anomalies."""
    labels = labels_T[found.rows]
    anomalous, normal = labels == 1, labels == 0
    of_anomalous, of_normal = delong_components(found.scores[anomalous], found.scores[normal])
    auc = float(of_anomalous.mean())
    phi = np.zeros(len(labels_T))
    for side, values in ((anomalous, of_anomalous), (normal, of_normal)):
        num = len(values)
        correction = math.sqrt(num / (num - 1)) if num > 1 else math.nan
        phi[found.rows[side]] = correction * (values - auc) / num
    return FitInfluence(auc, phi)


def mean_auc(fits: Mapping[tuple[int, int], FitInfluence]) -> MeanAuc:
    """Return the mean of fits by (class, seed). Raises `UsageError` unless every seed has every
    class.
    """
    classes = sorted({normal_class for normal_class, _ in fits})
    seeds = tuple(sorted({seed for _, seed in fits}))
    lacking = [(c, s) for c in classes for s in seeds if (c, s) not in fits]
    if not fits or lacking:
        raise UsageError(f"a mean over classes and seeds lacks {lacking or 'everything'}")
    by_seed = np.array([np.mean([fits[c, s].auc for c in classes]) for s in seeds])
    phi: F64 = np.mean([one.phi for one in fits.values()], axis=0)
    sd = float(by_seed.std(ddof=1)) if len(seeds) > 1 else None
    error, half = _error(phi, by_seed)
    mean = float(by_seed.mean())
    return MeanAuc(
        mean,
        error,
        max(mean - half, 0.0),
        min(mean + half, 1.0),
        len(classes),
        seeds,
        sd,
        phi,
        by_seed,
    )


def difference(first: MeanAuc, second: MeanAuc) -> MeanDifference:
    """Return the difference, paired by test image, and by seed where both detectors have the same
    seeds.
    """
    estimate = second.auc - first.auc
    phi = second.phi - first.phi
    if first.seeds == second.seeds:
        seeds = [second.by_seed - first.by_seed]
    else:
        seeds = [first.by_seed, second.by_seed]
    error, half = _error(phi, *seeds)
    if error == 0:
        return MeanDifference(estimate, 0.0, estimate, estimate, 1.0 if estimate == 0 else 0.0)
    df = _degrees(phi, *seeds)
    p_value = 2 * float(student.sf(abs(estimate) / error, df))
    return MeanDifference(estimate, error, estimate - half, estimate + half, p_value)


def _variances(phi: F64, seeds: Sequence[F64]) -> tuple[float, list[tuple[float, int]]]:
    """Return the variance of the test images, and that of each set of seeds with its degrees of
    freedom.
    """
    of_seeds = [(float(s.var(ddof=1)) / len(s), len(s) - 1) for s in seeds if len(s) > 1]
    return float(np.square(phi).sum()), of_seeds


def _degrees(phi: F64, *seeds: F64) -> float:
    of_images, of_seeds = _variances(phi, seeds)
    total = of_images + sum(variance for variance, _ in of_seeds)
    loose = sum(variance**2 / df for variance, df in of_seeds)
    return math.inf if loose == 0 else total**2 / loose


def _error(phi: F64, *seeds: F64) -> tuple[float, float]:
    """Return the standard error and half the width of the interval."""
    of_images, of_seeds = _variances(phi, seeds)
    error = math.sqrt(of_images + sum(variance for variance, _ in of_seeds))
    return error, error * float(student.ppf((1 + LEVEL) / 2, _degrees(phi, *seeds)))
