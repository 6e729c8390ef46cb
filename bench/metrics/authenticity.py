"""Authenticity: the share of the folder's images that are not near copies of training images.

A fake g with nearest real train image i* is authentic when g is farther from i* than i* is from
the nearest other train image:

    d(g, i*) > d(i*, nearest other train image of i*)

Alaa et al. 2022 (arXiv:2102.08921). Their published code searches from real images to fakes; this
is the rule of the text. Agrees with that rule as a double loop in float64, to the image.

A fake is not authentic exactly when it and i* are each other's nearest neighbours. For many images
of a smooth density that has a known probability: a perfect folder scores 1/3 in one dimension and
0.379 in two. In many dimensions the score is higher (two halves of MNIST's train split, 128
features: 0.61; its test split: 0.65), so it is compared with that of held-out images. A folder far
from all real images scores 1: a low value is an alarm, but a high one proves nothing.

Only copies of the train images whose features the reference stores are detected: 10,000 of MNIST's
60,000, so images drawn from all of them score 0.52, where held-out images score 0.65. A copy of an
image that is in the train set twice, or nearly so, counts as authentic unless it is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metrics.base import Metric, MetricInputs, MetricValue, UndefinedMetric
from bench.statistics.intervals import Uncertainty, wilson
from bench.statistics.neighbours.results import NeighbourPass


def authentic(neighbours: NeighbourPass) -> NDArray[np.bool_]:
    """Return whether each fake is authentic, bool M.

    Raises `UndefinedMetric` with one real image.
    """
    within = neighbours.real_nearest.distances
    if not within.shape[1]:
        raise UndefinedMetric("authenticity needs 2 or more real images, got 1")
    nearest = neighbours.fake_to_real
    own_M = within[nearest.indices[:, 0], 0]
    return np.asarray(nearest.distances[:, 0] > own_M)


def _authenticity(inputs: MetricInputs) -> MetricValue:
    authentic_M = authentic(inputs.neighbours)
    return MetricValue(
        float(authentic_M.mean()), details={"not_authentic": int((~authentic_M).sum())}
    )


def _uncertainty(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    num = inputs.independent(len(inputs.fake_features))
    return wilson(found.value * num, num)


AUTHENTICITY = Metric(
    name="authenticity",
    title="Authenticity",
    meaning="share of the images that are not near copies of training images",
    unit="share",
    citation="Alaa et al. 2022, arXiv:2102.08921",
    direction="target",
    scale="linear",
    compute=_authenticity,
    reads=frozenset({"features"}),
    uses=frozenset({"neighbours"}),
    sees="subset",
    depends_on_count=False,
    uncertainty=_uncertainty,
    constants={"rule": "d(g, i*) > d(i*, nearest other train image)"},
)
