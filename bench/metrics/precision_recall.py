"""Improved precision and recall: how much of the folder looks real, how much of the real is met.

The ball of a sample reaches to its 3rd nearest neighbour in its own set, itself excluded.
Precision is the share of fakes inside the union of the balls of the reals, recall the share of
reals inside the union of the balls of the fakes; the surface belongs to the ball (`<=`).

Kynkaanniemi et al., Improved Precision and Recall Metric for Assessing Generative Models, NeurIPS
2019; realism is eq. 3. Agrees with torch-fidelity 0.4 (`metric_prc`, same features)
to the sample, up to samples within float32 rounding of a ball's surface, which torch-fidelity
decides by rounded distances and this pass by exact ones. prdc 0.2 decides by `<`, so exact copies
of real images at the surface score there 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metrics.base import Metric, MetricInputs, MetricValue, UndefinedMetric
from bench.neighbours import K_BALL, NeighbourPass


def precision(neighbours: NeighbourPass) -> float:
    """Share in [0, 1] of fakes in a real ball. Raises `UndefinedMetric` with 3 reals or fewer."""
    _check_count("precision_k3", "real", len(neighbours.in_fake_ball))
    return float(neighbours.in_real_ball.mean())


def recall(neighbours: NeighbourPass) -> float:
    """Share in [0, 1] of reals in a fake ball. Raises `UndefinedMetric` with 3 fakes or fewer."""
    _check_count("recall_k3", "fake", len(neighbours.in_real_ball))
    return float(neighbours.in_fake_ball.mean())


def realism(neighbours: NeighbourPass) -> NDArray[np.float32]:
    """Realism of each fake, float32 M in [0, inf]: 1 or more inside a real ball whose radius is
    at most the median. Raises `UndefinedMetric` with 3 reals or fewer.
    """
    _check_count("realism", "real", len(neighbours.in_fake_ball))
    return neighbours.realism


def _check_count(name: str, side: str, num: int) -> None:
    if num <= K_BALL:
        raise UndefinedMetric(f"{name} needs more than {K_BALL} {side} images, got {num}")


def _precision(inputs: MetricInputs) -> MetricValue:
    return MetricValue(precision(inputs.neighbours))


def _recall(inputs: MetricInputs) -> MetricValue:
    return MetricValue(recall(inputs.neighbours))


PRECISION = Metric(
    name="precision_k3",
    title="Precision",
    compute=_precision,
    reads=frozenset({"features"}),
    direction="higher",
    unit="share",
    citation="Kynkäänniemi et al. 2019, arXiv:1904.06991",
    constants={"k": K_BALL, "membership": "<="},
)

RECALL = Metric(
    name="recall_k3",
    title="Recall",
    compute=_recall,
    reads=frozenset({"features"}),
    direction="higher",
    unit="share",
    citation="Kynkäänniemi et al. 2019, arXiv:1904.06991",
    constants={"k": K_BALL, "membership": "<="},
)
