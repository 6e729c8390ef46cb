"""What a metric is: a row that binds a pure function to what it needs and how a report reads it.

A metric file holds the pure functions (arrays in, numbers out) and, at its end, the rows that bind
them. The literal table `METRICS` in `bench.metrics` lists the rows; a test classifies every one of
them in the property table. To add a metric: one file, one row there, one row in the property
table, one golden.

Shape legend: N samples, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.metrics.frechet_expansion import FrechetExpansion, expand
from bench.metrics.prd import PRDClusters, PRDCurve, prd_clusters
from bench.statistics.intervals import Uncertainty
from bench.statistics.moments import ClassStatistics, Moments, score_splits
from bench.statistics.neighbours import NearestNeighbours, NeighbourPass, neighbour_pass

Part = Literal["moments", "class_shares", "features", "held_out"]
Direction = Literal["lower", "higher", "target"]
SPLITS = 10  # of the Inception Score
Detail = float | int | str | list[float] | list[int]


class UndefinedMetric(Exception):
    """The metric has no value on these inputs; the message is the reason a record will carry."""


class MetricValue(NamedTuple):
    """One value. `spread`: standard deviation over splits or subsets where the metric has one
    (not a standard error). `details`: further finite numbers worth keeping in the record.
    `n_real`: the number of real images compared with, when it is not all of what is read.
    """

    value: float
    spread: float | None = None
    details: Mapping[str, Detail] = {}
    n_real: int | None = None


class DetectorScores(NamedTuple):
    """Scores of a named detector, float64: of the folder's kept images, and of the held-out ones
    of the reference. Higher is more anomalous.
    """

    detector: str
    of_folder: NDArray[np.float64]
    of_held_out: NDArray[np.float64]


class Sizes(NamedTuple):
    """Sample counts that an expected value depends on."""

    n_real: int
    n_fake: int


@dataclass(frozen=True, kw_only=True)
class MetricInputs:
    """Everything a metric may read. Features are float32 N,D, probabilities float64 N,K.

    `fake_features` and `fake_probabilities` are those of the folder's images, or of a fixed random
    subset when there are very many; `fake_statistics` and `fake_moments_of_all` then cover all
    of them. `real_features` is the reference's fixed subset of the train split, `real_moments` the
    moments of the whole train split, `held_out_features` the test split; `real_nearest` and
    `held_out_nearest` are the nearest neighbours of the former and of the latter in the former,
    when the reference has them stored. `held_out_moments_of_all` are the moments of the whole test
    split, when not only of its features. `device` is where the neighbour pass runs.
    `detector_scores` are those of the detector that `anomaly_auc` is asked of, None for its own.
    """

    fake_features: NDArray[np.float32]
    fake_probabilities: NDArray[np.float64] | None
    real_features: NDArray[np.float32]
    real_moments: Moments
    real_class_shares: NDArray[np.float64] | None = None
    held_out_features: NDArray[np.float32] | None = None
    real_nearest: NearestNeighbours | None = None
    held_out_nearest: NearestNeighbours | None = None
    held_out_moments_of_all: Moments | None = None
    seed: int = 2020
    device: str = "cpu"
    fake_moments_of_all: Moments | None = None
    fake_statistics: ClassStatistics | None = None
    detector_scores: DetectorScores | None = None

    @cached_property
    def fake_moments(self) -> Moments:
        return self.fake_moments_of_all or Moments.of(self.fake_features)

    @cached_property
    def held_out_moments(self) -> Moments | None:
        """Moments of the test split, None without one."""
        held_out = self.held_out_features
        if self.held_out_moments_of_all is None and held_out is not None and len(held_out):
            return Moments.of(held_out)
        return self.held_out_moments_of_all

    @cached_property
    def fake_classes(self) -> ClassStatistics | None:
        """Class statistics of all fakes, for the splits of the seed."""
        if self.fake_statistics is not None or self.fake_probabilities is None:
            return self.fake_statistics
        split_N = score_splits(len(self.fake_probabilities), SPLITS, self.seed)
        return ClassStatistics.of(self.fake_probabilities, split_N, SPLITS)

    @property
    def num_fake(self) -> int:
        """Images of the folder, whether their features were kept or not."""
        if self.fake_moments_of_all is not None:
            return self.fake_moments_of_all.n
        return len(self.fake_features)

    @cached_property
    def neighbours(self) -> NeighbourPass:
        """The one distance pass that all neighbour metrics share."""
        return neighbour_pass(
            self.real_features,
            self.fake_features,
            real_nearest=self.real_nearest,
            device=self.device,
        )

    @cached_property
    def frechet_expansion(self) -> FrechetExpansion:
        """How FID depends on the draw of the fakes, shared by its intervals."""
        return expand(self.real_moments, self.fake_features, self.seed)

    @cached_property
    def prd_clusters(self) -> PRDClusters:
        """The clusterings that the precision-recall curve and its intervals are made of."""
        return prd_clusters(self.real_features, self.fake_features, self.seed)

    @cached_property
    def prd(self) -> PRDCurve:
        """The precision-recall curve that both PRD scores are read from."""
        return self.prd_clusters.curve


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One row of the table.

    `name` fixes the definition (protocols never change under a name). `compute` raises
    `UndefinedMetric` where there is no value. `reads` are the parts of the reference that it
    compares with (moments and class shares are those of the whole train split). `sees` says
    whether it takes in all images of a large folder or the fixed subset of them. `expected` gives
    the closed-form expectation of the metric for two samples of one distribution, where there is
    one; without it a report shows what held-out real images score. `perfect` takes the place of
    that score where a metric would compare held-out images with themselves: what inputs of this
    size would score if they were perfect, estimated from the reference. `uncertainty` gives the
    interval of a value that `compute` gave for the same inputs, and raises `UndefinedMetric` where
    there is none. `constants` are the protocol's numbers, for the record.
    """

    name: str
    title: str
    compute: Callable[[MetricInputs], MetricValue]
    reads: frozenset[Part]
    direction: Direction
    unit: str
    citation: str
    sees: Literal["all", "subset"] = "subset"
    expected: Callable[[Sizes], float] | None = None
    perfect: Callable[[MetricInputs], float] | None = None
    uncertainty: Callable[[MetricInputs, MetricValue], Uncertainty] | None = None
    constants: Mapping[str, Any] = field(default_factory=dict)
