"""Improved precision and recall: the share of images that look real, and of real ones covered.

The ball of a sample reaches to its 3rd nearest neighbour in its own set, itself excluded.
Precision is the share of fakes inside the union of the balls of the reals, recall the share of
reals inside the union of the balls of the fakes. The surface belongs to the ball (`<=`).

Kynkaanniemi et al., Improved Precision and Recall Metric for Assessing Generative Models, NeurIPS
2019 (arXiv:1904.06991); realism is eq. 3. Agrees with torch-fidelity 0.4 (`metric_prc`, same
features) to the sample, except for samples within float32 rounding of a ball's surface, which
torch-fidelity decides by rounded distances and this pass by exact ones. prdc 0.2 uses `<`, so
exact copies of real images on the surface score 0 there.

With the reals fixed, precision is a share of independent images and has Wilson's interval.
`bench.metrics.recall_variance` has the variance of recall.

Shape legend: M fakes, N reals.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bench.metrics.base import Metric, MetricInputs, MetricValue, Saying, UndefinedMetric
from bench.metrics.recall_variance import recall_variance
from bench.statistics.intervals import Uncertainty, share_interval, wilson
from bench.statistics.neighbours.results import K_BALL, K_NEAREST, NeighbourPass

LEAST_FAKES = 2 * (K_BALL + 2)


def precision(neighbours: NeighbourPass) -> float:
    """Return the share in [0, 1] of fakes in a real ball.

    Raises `UndefinedMetric` with 3 reals or fewer.
    """
    _check_count("precision_k3", "real", len(neighbours.in_fake_ball))
    return float(neighbours.in_real_ball.mean())


def recall(neighbours: NeighbourPass) -> float:
    """Return the share in [0, 1] of reals in a fake ball.

    Raises `UndefinedMetric` with 3 fakes or fewer.
    """
    _check_count("recall_k3", "fake", len(neighbours.in_real_ball))
    return float(neighbours.in_fake_ball.mean())


def realism(neighbours: NeighbourPass) -> NDArray[np.float32]:
    """Return the realism of each fake, float32 M in [0, inf].

    It is 1 or more inside a real ball whose radius is at most the median. Raises
    `UndefinedMetric` with 3 reals or fewer.
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


def _precision_interval(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    num = inputs.independent(len(inputs.fake_features))
    return wilson(found.value * num, num)


def _recall_interval(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    from bench.statistics.neighbours.search import nearest_neighbours

    real, fake = inputs.real_features, inputs.different_features
    if len(fake) < LEAST_FAKES:
        raise UndefinedMetric(
            f"an interval of recall needs {LEAST_FAKES} different images, got {len(fake)}"
        )
    nearest = inputs.neighbours.fake_nearest
    if inputs.repeated is not None:
        nearest = nearest_neighbours(fake, fake, K_NEAREST, exclude_self=True, device=inputs.device)
    error = math.sqrt(recall_variance(real, fake, nearest, device=inputs.device))
    return share_interval(found.value, error, len(real), "jackknife over different images")


PRECISION = Metric(
    name="precision_k3",
    title="Precision",
    meaning="share of the images that look real",
    unit="share",
    citation="Kynkäänniemi et al. 2019, arXiv:1904.06991",
    direction="higher",
    scale="linear",
    compute=_precision,
    reads=frozenset({"features"}),
    uses=frozenset({"neighbours"}),
    sees="subset",
    depends_on_count=True,
    uncertainty=_precision_interval,
    constants={"k": K_BALL, "membership": "<="},
    highlight=True,
    saying=Saying(
        "{value} of the images look real.",
        "{value} of the images look real; {expected} of real test images do.",
        percent=True,
        hint="Look at the images of lowest realism: what do they have in common?",
    ),
    diversity="recall_k3",
)

RECALL = Metric(
    name="recall_k3",
    title="Recall",
    meaning="share of the real variety that the images cover",
    unit="share",
    citation="Kynkäänniemi et al. 2019, arXiv:1904.06991",
    direction="higher",
    scale="linear",
    compute=_recall,
    reads=frozenset({"features"}),
    uses=frozenset({"neighbours"}),
    sees="subset",
    depends_on_count=True,
    uncertainty=_recall_interval,
    constants={"k": K_BALL, "membership": "<="},
    highlight=True,
    saying=Saying(
        "The images cover {value} of the variety of real images.",
        "The images cover {value} of the variety of real images; real test images cover "
        "{expected}.",
        percent=True,
        hint="Look for kinds of real images that are missing, class by class.",
    ),
)
