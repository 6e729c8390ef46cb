"""Anomaly AUC: can a one-class detector tell the folder from held-out real images?

The detector's score is the distance to the 5th nearest real train image, or that of a detector
named by the user (`anomaly_auc_by`, `score --detector`). The value is the probability that an
image of the folder scores above a held-out test image, with ties counted half (the Mann-Whitney
statistic). At 0.5 the two cannot be told apart; at 1 every image looks anomalous; below 0.5 the
images are more typical than real ones, as after a collapse onto easy modes.

Agrees with scikit-learn's `roc_auc_score` to 1e-12. The standard error is DeLong's (see
`bench.statistics.roc`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.metrics.base import Detail, Metric, MetricInputs, MetricValue, Saying, UndefinedMetric
from bench.statistics.intervals import Uncertainty, share_interval
from bench.statistics.neighbours.results import K_NEAREST, NearestNeighbours
from bench.statistics.roc import auc

Scores = NDArray[np.floating]


def _scores(nearest: NearestNeighbours) -> NDArray[np.float32]:
    return nearest.distances[:, K_NEAREST - 1]


def _sides(inputs: MetricInputs) -> tuple[Scores, Scores]:
    """Return the scores of the folder's and of held-out images by the metric's own detector."""
    from bench.statistics.neighbours.search import nearest_neighbours

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
    return _scores(inputs.neighbours.fake_to_real), _scores(nearest)


def _anomaly_auc(inputs: MetricInputs) -> MetricValue:
    folder, held_out = _sides(inputs)
    return _value(folder, held_out)


def _value(folder: Scores, held_out: Scores) -> MetricValue:
    result = auc(folder, held_out)
    details: dict[str, Detail] = {"n_held_out": len(held_out)}
    if math.isfinite(result.standard_error):
        details["standard_error"] = result.standard_error
        details["standard_error_of_folder"] = result.of_anomalous
    return MetricValue(result.value, details=details)


def _uncertainty(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    error = found.details.get("standard_error_of_folder")
    if not isinstance(error, float):
        raise UndefinedMetric("the variation of images cannot be estimated from one image")
    num = len(inputs.fake_features)
    error *= math.sqrt(inputs.design_effect(num))
    return share_interval(found.value, error, num, "DeLong, held-out fixed")


def _expected(_: object) -> float:
    return 0.5


ANOMALY_AUC = Metric(
    name="anomaly_auc",
    title="Anomaly AUC",
    meaning="how often a detector finds these stranger than real images",
    unit="probability",
    citation="detector: distance to the 5th neighbour (Ramaswamy et al. 2000); interval: DeLong "
    "et al. 1988, Sun and Xu 2014",
    direction="target",
    scale="linear",
    compute=_anomaly_auc,
    reads=frozenset({"features", "held_out"}),
    uses=frozenset({"neighbours"}),
    sees="subset",
    depends_on_count=False,
    expected=_expected,
    uncertainty=_uncertainty,
    constants={"k": K_NEAREST, "detector": "distance to the k-th nearest train feature"},
    highlight=True,
    saying=Saying(
        "A detector of unusual images finds these stranger than real ones in {value} of the "
        "pairs; 50 % is perfect.",
        percent=True,
        hint="Compare grey levels, noise and borders with those of real images first.",
    ),
)


def _by_named_detector(inputs: MetricInputs) -> MetricValue:
    found = inputs.detector_scores
    if found is None:
        raise UndefinedMetric("the reference has no held-out images")
    return _value(found.of_folder, found.of_held_out)


def anomaly_auc_by(detector: str, constants: Mapping[str, float | int | str]) -> Metric:
    """Return the metric with the scores of another detector, which the inputs carry.

    Its constants name the detector, so its values differ from those of the metric's own detector.
    """
    return dataclasses.replace(
        ANOMALY_AUC,
        compute=_by_named_detector,
        constants={**constants, "detector": detector},
    )
