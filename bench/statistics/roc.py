"""ROC curve, AUC, average precision and FPR at 95 % TPR of anomaly scores.

A higher score means more anomalous. AUC is the probability that an anomalous image scores above a
normal one, with ties counted half (the Mann-Whitney statistic). Its variance is that of DeLong,
DeLong and Clarke-Pearson (Biometrics 1988) from midranks (Sun and Xu, IEEE Signal Processing
Letters 2014), for images drawn independently on both sides and a fixed detector. The interval is
symmetric on the logit scale, so it stays inside [0, 1]. Where every pair is in order the variance
is zero, and the interval is Wilson's for the smaller side.

Average precision is the step sum of precision over recall, where images of equal score are taken
together. FPR at 95 % TPR is the share of normal images at or above the highest threshold that
detects 95 % of the anomalous ones.

AUC, curve and average precision agree with scikit-learn, and errors with the direct sum over
pairs, both to float64 rounding. Areas and errors agree with the worked example of the 1988 paper
(tests/statistics/test_roc.py).

Shape legend: m anomalous images, n normal ones, P points of the curve.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.statistics.intervals import Uncertainty, share_interval

TPR = 0.95  # of FPR at 95 % TPR

Scores = NDArray[np.floating]


class Auc(NamedTuple):
    """Area under the ROC curve in [0, 1] with its standard errors.

    `standard_error` is for a draw of both sides, `of_anomalous` for a draw of the anomalous side
    alone. Both are NaN when a side has one score.
    """

    value: float
    standard_error: float
    of_anomalous: float


class RocCurve(NamedTuple):
    """Points of a ROC curve, float64 P each, from (0, 0) to (1, 1).

    The rates are the shares of normal and of anomalous images that score at or above each
    threshold. The first threshold is infinite.
    """

    false_positives: NDArray[np.float64]
    true_positives: NDArray[np.float64]
    thresholds: NDArray[np.float64]


class RocNumbers(NamedTuple):
    """Numbers of one ROC curve.

    `interval` is that of the AUC; None when a side has one image, since one image says nothing
    about variation.
    """

    auc: float
    interval: Uncertainty | None
    average_precision: float
    fpr_at_95_tpr: float
    num_anomalous: int
    num_normal: int

    @property
    def share(self) -> float:
        """Share of anomalous images: the average precision of a detector without any skill."""
        return self.num_anomalous / (self.num_anomalous + self.num_normal)


def delong_components(anomalous: Scores, normal: Scores) -> tuple[Scores, Scores]:
    """Return DeLong's structural components, both with the AUC as their mean.

    They are, for each anomalous image, the share of normal images below it, and for each normal
    image the share of anomalous images above it. Ties count half. Raises `ValueError` when a side
    is empty or holds NaN.

    >>> below, above = delong_components(np.array([3.0, 1.0]), np.array([1.0, 2.0]))
    >>> below.tolist(), above.tolist()
    ([1.0, 0.25], [0.75, 0.5])
    """
    from scipy.stats import rankdata

    m, n = len(anomalous), len(normal)
    if not m or not n:
        raise ValueError(f"an AUC needs scores on both sides, got {m} and {n}")
    ranks = rankdata(np.concatenate([anomalous, normal]), nan_policy="raise")
    below_m = (ranks[:m] - rankdata(anomalous)) / n
    above_n = 1 - (ranks[m:] - rankdata(normal)) / m
    return below_m, above_n


def auc(anomalous: Scores, normal: Scores) -> Auc:
    """Return P(anomalous > normal) + P(equal) / 2 of two score vectors, in O((m+n) log(m+n)).

    Raises `ValueError` when one is empty or holds NaN.

    >>> auc(np.array([3.0, 1.0]), np.array([1.0, 2.0])).value  # 2 of 4 pairs, and one tie
    0.625
    """
    below_m, above_n = delong_components(anomalous, normal)
    m, n = len(below_m), len(above_n)
    if min(m, n) < 2:
        return Auc(float(below_m.mean()), math.nan, math.nan)
    of_m, of_n = below_m.var(ddof=1) / m, above_n.var(ddof=1) / n
    return Auc(float(below_m.mean()), math.sqrt(of_m + of_n), math.sqrt(of_m))


def auc_interval(anomalous: Scores, normal: Scores) -> Uncertainty | None:
    """Return DeLong's 95 % interval of the AUC for another draw of both sides, on the logit scale.

    The result is None when a side has one score. Raises as `auc` does.
    """
    found = auc(anomalous, normal)
    if math.isnan(found.standard_error):
        return None
    smaller = min(len(anomalous), len(normal))
    return share_interval(found.value, found.standard_error, smaller, "DeLong, logit")


def roc_curve(anomalous: Scores, normal: Scores) -> RocCurve:
    """Return the curve, with a point for each distinct score.

    Raises `ValueError` when a side is empty or holds NaN.

    >>> curve = roc_curve(np.array([3.0, 1.0]), np.array([1.0, 2.0]))
    >>> curve.false_positives.tolist(), curve.true_positives.tolist()
    ([0.0, 0.0, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0])
    """
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
    """Return the sum over thresholds of precision times gained recall. Raises as `roc_curve`.

    >>> average_precision(np.array([3.0, 1.0]), np.array([1.0, 2.0]))  # (1/1 + 2/4) / 2
    0.75
    """
    curve = roc_curve(anomalous, normal)
    found = curve.true_positives[1:] * len(anomalous)
    wrong = curve.false_positives[1:] * len(normal)
    return float((np.diff(curve.true_positives) * found / (found + wrong)).sum())


def fpr_at_tpr(anomalous: Scores, normal: Scores, tpr: float = TPR) -> float:
    """Return the false positive rate where `tpr` or more of the anomalous images are detected.

    It is the share of normal images at or above the highest threshold that a share `tpr` of the
    anomalous images reaches. Raises as `roc_curve`, and `ValueError` for a `tpr` outside (0, 1].

    >>> fpr_at_tpr(np.array([3.0, 1.0]), np.array([0.0, 2.0]), tpr=0.5)
    0.0
    """
    if not 0 < tpr <= 1:
        raise ValueError(f"a true positive rate of {tpr}: expected more than 0, at most 1")
    curve = roc_curve(anomalous, normal)
    # counts, not shares: 19 of 20 are 95 % whatever the rounding
    found = np.round(curve.true_positives * len(anomalous)).astype(np.int64)
    needed = math.ceil(tpr * len(anomalous) - 1e-9)
    return float(curve.false_positives[np.argmax(found >= needed)])


def roc_numbers(scores: Scores, labels: NDArray[np.integer]) -> RocNumbers:
    """Return the numbers of scores with labels (1 anomalous, 0 normal). Raises as `roc_curve`."""
    anomalous, normal = scores[labels == 1], scores[labels == 0]
    return RocNumbers(
        auc(anomalous, normal).value,
        auc_interval(anomalous, normal),
        average_precision(anomalous, normal),
        fpr_at_tpr(anomalous, normal),
        len(anomalous),
        len(normal),
    )
