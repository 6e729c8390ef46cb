"""Anomaly AUC: does a one-class detector tell the folder from held-out real images?

The detector's score is the distance to the 5th nearest real train image. The value is the
probability that an image of the folder scores above a held-out test image, ties counted half (the
Mann-Whitney statistic): 0.5 cannot be told apart, 1 every image looks anomalous, below 0.5 the
images are more typical than real ones, as after a collapse onto easy modes.

The standard error is DeLong's (DeLong, DeLong and Clarke-Pearson, Biometrics 1988) from
midranks (Sun and Xu, IEEE Signal Processing Letters 2014), for images that are
independent; it takes the detector as given. AUC agrees with `sklearn.metrics.roc_auc_score`, the
error with the direct sum over pairs, both to float64 rounding.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bench.metrics.base import Detail, Metric, MetricInputs, MetricValue, UndefinedMetric
from bench.neighbours import K_NEAREST, NearestNeighbours, nearest_neighbours
from bench.uncertainty import Uncertainty, share_interval


class Auc(NamedTuple):
    """Area under the ROC curve in [0, 1], its standard error, and the part of that which the
    draw of the anomalous side makes; both NaN with one score on a side.
    """

    value: float
    standard_error: float
    of_anomalous: float


def auc(anomalous: NDArray[np.floating], normal: NDArray[np.floating]) -> Auc:
    """P(anomalous > normal) + P(equal) / 2 of two score vectors, in O((m+n) log(m+n)).
    Raises `ValueError` when one is empty or holds NaN.
    """
    m, n = len(anomalous), len(normal)
    if not m or not n:
        raise ValueError(f"an AUC needs scores on both sides, got {m} and {n}")
    ranks = rankdata(np.concatenate([anomalous, normal]), nan_policy="raise")
    # shares of the other side below (resp. above) each score: DeLong's structural components
    below_m = (ranks[:m] - rankdata(anomalous)) / n
    above_n = 1 - (ranks[m:] - rankdata(normal)) / m
    if min(m, n) < 2:
        return Auc(float(below_m.mean()), math.nan, math.nan)
    of_m, of_n = below_m.var(ddof=1) / m, above_n.var(ddof=1) / n
    return Auc(float(below_m.mean()), math.sqrt(of_m + of_n), math.sqrt(of_m))


def _scores(nearest: NearestNeighbours) -> NDArray[np.float32]:
    return nearest.distances[:, K_NEAREST - 1]


def _anomaly_auc(inputs: MetricInputs) -> MetricValue:
    nearest, held_out = inputs.held_out_nearest, inputs.held_out_features
    num_real = len(inputs.real_features)
    if num_real < K_NEAREST:
        raise UndefinedMetric(f"anomaly_auc needs {K_NEAREST} or more real images, got {num_real}")
    if nearest is None:
        if held_out is None or not len(held_out):
            raise UndefinedMetric("the reference has no held-out images")
        nearest = nearest_neighbours(
            held_out, inputs.real_features, K_NEAREST, device=inputs.device
        )
    result = auc(_scores(inputs.neighbours.fake_to_real), _scores(nearest))
    details: dict[str, Detail] = {"n_held_out": len(nearest.distances)}
    if math.isfinite(result.standard_error):
        details["standard_error"] = result.standard_error
        details["standard_error_of_folder"] = result.of_anomalous
    return MetricValue(result.value, details=details)


def _uncertainty(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    error = found.details.get("standard_error_of_folder")
    if not isinstance(error, float):
        raise UndefinedMetric("one image does not tell how images vary")
    return share_interval(found.value, error, len(inputs.fake_features), "DeLong, held-out fixed")


def _expected(_: object) -> float:
    return 0.5


ANOMALY_AUC = Metric(
    name="anomaly_auc",
    title="Anomaly AUC",
    compute=_anomaly_auc,
    reads=frozenset({"features", "held_out"}),
    direction="target",
    unit="probability",
    citation="detector: distance to the 5th neighbour (Ramaswamy et al. 2000); interval: DeLong "
    "et al. 1988, Sun and Xu 2014",
    expected=_expected,
    uncertainty=_uncertainty,
    constants={"k": K_NEAREST, "detector": "distance to the k-th nearest train feature"},
)
