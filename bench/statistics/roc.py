"""How well scores tell anomalous images from normal ones: the ROC curve and numbers read from it.

A score is higher for what looks more anomalous. AUC is the probability that an anomalous image
scores above a normal one, ties counted half (the Mann-Whitney statistic). Its variance is DeLong's
(DeLong, DeLong and Clarke-Pearson, Biometrics 1988) from midranks (Sun and Xu, IEEE Signal
Processing Letters 2014), for images that are drawn independently on both sides; it takes the
detector as given. The interval is symmetric on the logit scale, so that it stays inside [0, 1];
where every pair is in order, and the variance nothing, it is Wilson's for the smaller side. The
test of two detectors on the same images is DeLong's paired one, on the scale of the AUC.

Average precision is the step sum of precision over recall, with all images of one score taken
together; FPR at 95 % TPR is the share of normal images at or above the highest threshold that
finds 95 % of the anomalous ones. AUC, curve and average precision agree with scikit-learn, errors
with the direct sum over pairs, both to float64 rounding, and areas, errors and tests with the
worked example of the 1988 paper (tests/test_roc.py).

Shape legend: m anomalous images, n normal ones, P points of the curve.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from bench.statistics.intervals import Uncertainty, Z, share_interval

TPR = 0.95  # of FPR at 95 % TPR

Scores = NDArray[np.floating]


class Auc(NamedTuple):
    """Area under the ROC curve in [0, 1], its standard error, and the part of that which the
    draw of the anomalous side makes; both NaN with one score on a side.
    """

    value: float
    standard_error: float
    of_anomalous: float


class RocCurve(NamedTuple):
    """Float64 P each, from (0, 0) to (1, 1): the shares of normal and of anomalous images that
    score at or above each threshold; the first threshold is above every score, infinite.
    """

    false_positives: NDArray[np.float64]
    true_positives: NDArray[np.float64]
    thresholds: NDArray[np.float64]


class RocNumbers(NamedTuple):
    """What one ROC curve comes down to. `interval` is that of the AUC, None where a side has one
    image and nothing is known of how images vary. `share` is that of anomalous images: what the
    average precision of a detector without any skill would be.
    """

    auc: float
    interval: Uncertainty | None
    average_precision: float
    fpr_at_95_tpr: float
    num_anomalous: int
    num_normal: int

    @property
    def share(self) -> float:
        return self.num_anomalous / (self.num_anomalous + self.num_normal)


class AucDifference(NamedTuple):
    """The AUC of the second detector less that of the first, its standard error, its 95 % interval
    and the two-sided p-value of no difference.
    """

    estimate: float
    standard_error: float
    low: float
    high: float
    p_value: float


def delong_components(anomalous: Scores, normal: Scores) -> tuple[Scores, Scores]:
    """DeLong's structural components, the mean of either the AUC: for each anomalous image the
    share of normal ones below it, for each normal one that of anomalous ones above it.
    """
    m, n = len(anomalous), len(normal)
    if not m or not n:
        raise ValueError(f"an AUC needs scores on both sides, got {m} and {n}")
    ranks = rankdata(np.concatenate([anomalous, normal]), nan_policy="raise")
    below_m = (ranks[:m] - rankdata(anomalous)) / n
    above_n = 1 - (ranks[m:] - rankdata(normal)) / m
    return below_m, above_n


def auc(anomalous: Scores, normal: Scores) -> Auc:
    """P(anomalous > normal) + P(equal) / 2 of two score vectors, in O((m+n) log(m+n)).
    Raises `ValueError` when one is empty or holds NaN.
    """
    below_m, above_n = delong_components(anomalous, normal)
    m, n = len(below_m), len(above_n)
    if min(m, n) < 2:
        return Auc(float(below_m.mean()), math.nan, math.nan)
    of_m, of_n = below_m.var(ddof=1) / m, above_n.var(ddof=1) / n
    return Auc(float(below_m.mean()), math.sqrt(of_m + of_n), math.sqrt(of_m))


def auc_interval(anomalous: Scores, normal: Scores) -> Uncertainty | None:
    """DeLong's 95 % interval of the AUC for another draw of both sides, on the logit scale; None
    with one score on a side. Raises as `auc` does.
    """
    found = auc(anomalous, normal)
    if math.isnan(found.standard_error):
        return None
    smaller = min(len(anomalous), len(normal))
    return share_interval(found.value, found.standard_error, smaller, "DeLong, logit")


def roc_curve(anomalous: Scores, normal: Scores) -> RocCurve:
    """A point for each distinct score. Raises `ValueError` when a side is empty or holds NaN."""
    if not len(anomalous) or not len(normal):
        raise ValueError(f"a ROC curve needs both sides, got {len(anomalous)} and {len(normal)}")
    both = np.concatenate([anomalous, normal]).astype(np.float64)
    if np.isnan(both).any():
        raise ValueError("the scores hold NaN")
    values, place = np.unique(both, return_inverse=True)
    shares = []
    for side in (place[len(anomalous) :], place[: len(anomalous)]):
        counts = np.bincount(side, minlength=len(values))[::-1]
        shares.append(np.concatenate([[0.0], np.cumsum(counts) / len(side)]))
    return RocCurve(shares[0], shares[1], np.concatenate([[np.inf], values[::-1]]))


def average_precision(anomalous: Scores, normal: Scores) -> float:
    """Sum over thresholds of precision times the recall gained. Raises as `roc_curve` does."""
    curve = roc_curve(anomalous, normal)
    found = curve.true_positives[1:] * len(anomalous)
    wrong = curve.false_positives[1:] * len(normal)
    return float((np.diff(curve.true_positives) * found / (found + wrong)).sum())


def fpr_at_tpr(anomalous: Scores, normal: Scores, tpr: float = TPR) -> float:
    """Share of normal images at or above the highest threshold that is reached by `tpr` or more of
    the anomalous ones. Raises as `roc_curve` does.
    """
    if not 0 < tpr <= 1:
        raise ValueError(f"a true positive rate of {tpr}: expected more than 0, at most 1")
    curve = roc_curve(anomalous, normal)
    # counts, not shares: 19 of 20 are 95 % whatever the rounding
    found = np.round(curve.true_positives * len(anomalous)).astype(np.int64)
    needed = math.ceil(tpr * len(anomalous) - 1e-9)
    return float(curve.false_positives[np.argmax(found >= needed)])


def roc_numbers(scores: Scores, labels: NDArray[np.integer]) -> RocNumbers:
    """The numbers of scores with labels (1 anomalous, 0 normal). Raises as `roc_curve` does."""
    anomalous, normal = scores[labels == 1], scores[labels == 0]
    return RocNumbers(
        auc(anomalous, normal).value,
        auc_interval(anomalous, normal),
        average_precision(anomalous, normal),
        fpr_at_tpr(anomalous, normal),
        len(anomalous),
        len(normal),
    )


def compare_aucs(first: tuple[Scores, Scores], second: tuple[Scores, Scores]) -> AucDifference:
    """DeLong's paired test of two detectors, each given by its scores (anomalous, normal) of the
    same images in the same order.

    Where the two rank every pair alike the difference is 0 and p is 1; where they differ by the
    same amount for every image, p is 0. Raises `ValueError` for other numbers of images and for
    one image on a side, and as `auc` does.
    """
    (below_1, above_1), (below_2, above_2) = delong_components(*first), delong_components(*second)
    if below_1.shape != below_2.shape or above_1.shape != above_2.shape:
        raise ValueError("a paired test needs the scores of the same images")
    if min(len(below_1), len(above_1)) < 2:
        raise ValueError("a paired test needs two images or more on both sides")
    estimate = float(below_2.mean() - below_1.mean())
    differences = (below_2 - below_1, above_2 - above_1)
    error = math.sqrt(sum(side.var(ddof=1) / len(side) for side in differences))
    if error == 0:
        return AucDifference(estimate, 0.0, estimate, estimate, 1.0 if estimate == 0 else 0.0)
    p_value = 2 * float(norm.sf(abs(estimate) / error))
    return AucDifference(estimate, error, estimate - Z * error, estimate + Z * error, p_value)
