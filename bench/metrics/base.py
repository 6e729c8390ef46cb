"""The row of a metric, its inputs and its results.

A metric file holds pure functions (arrays in, numbers out) and, at its end, the rows that bind
them. The table `METRICS` in `bench.metrics` lists the rows, and the property table of the tests
classifies each of them. To add a metric: one file, one line in the table, one row in the property
table. `bench.metrics` shows a complete example.

Shape legend: N samples, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from bench.statistics.intervals import Uncertainty, at_least
from bench.statistics.moments import ClassStatistics, Moments, score_splits
from bench.statistics.neighbours.results import NearestNeighbours, NeighbourPass

if TYPE_CHECKING:
    from bench.metrics.frechet_expansion import FrechetExpansion
    from bench.metrics.prd import PRDClusters, PRDCurve

Part = Literal["moments", "class_shares", "features", "held_out"]
SharedWork = Literal["neighbours", "prd"]  # `MetricInputs.neighbours`, `MetricInputs.prd`
Direction = Literal["lower", "higher", "target"]
Scale = Literal["linear", "log", "symlog"]
SPLITS = 10  # of the Inception Score
Detail = float | int | str | list[float] | list[int]


class UndefinedMetric(Exception):
    """The metric has no value on these inputs; the message is the reason in the record."""


class MetricValue(NamedTuple):
    """One value of a metric.

    `spread` is the standard deviation over splits or subsets of a metric that has them (not a
    standard error). `details` are further finite numbers for the record. `n_real` is the number of
    real images compared with, when it is not the size of what the metric reads.
    """

    value: float
    spread: float | None = None
    details: Mapping[str, Detail] = {}
    n_real: int | None = None


class DetectorScores(NamedTuple):
    """Scores of a named detector, float64; higher is more anomalous.

    `of_folder` are those of the folder's stored images, `of_held_out` those of the reference's
    held-out images.
    """

    detector: str
    of_folder: NDArray[np.float64]
    of_held_out: NDArray[np.float64]


class Sizes(NamedTuple):
    """Numbers of images that an expected value depends on."""

    n_real: int
    n_fake: int


@dataclass(frozen=True, kw_only=True)
class MetricInputs:
    """Everything that a metric may read.

    Features are float32 N,D, probabilities float64 N,K. Those of the fakes cover all images of the
    folder or, for a very large folder, a fixed random subset; then `fake_moments_of_all` and
    `fake_statistics` cover all of them. `real_features` are the reference's fixed subset of the
    train split, empty for a reference of moments only. `real_moments` are the moments of the whole
    train split; `real_is_counted` says whether their `n` is the number of images, or stands in for
    an unknown one. `held_out_features` are those of the test split. `real_nearest` and
    `held_out_nearest` are the nearest neighbours of the train and of the test features among the
    train features, when the reference stores them. `held_out_moments_of_all` are the moments of the
    whole test split, when its features are a subset. The neighbour pass runs on `device`.
    `detector_scores` are those of the detector named for `anomaly_auc`; None for the metric's own.

    `copy_rate` is the probability that two random images of the folder are equal in every pixel.
    Copies are not independent draws, so an interval uses `independent(n)` in place of the number of
    images n. `repeated` (bool) says which of the stored images are copies of an earlier one; None
    when no image is.
    """

    fake_features: NDArray[np.float32]
    fake_probabilities: NDArray[np.float64] | None
    real_features: NDArray[np.float32]
    real_moments: Moments
    real_is_counted: bool = True
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
    copy_rate: float = 0.0
    repeated: NDArray[np.bool_] | None = None

    @cached_property
    def different_features(self) -> NDArray[np.float32]:
        """Features of the stored images, without the copies of an earlier one."""
        return self.fake_features if self.repeated is None else self.fake_features[~self.repeated]

    def independent(self, num: int) -> float:
        """Return the effective number of different images among `num` images of the folder.

        It is Kish's effective sample size num^2 / sum m^2 for images that occur m times each, in
        expectation over random images of the folder. It is `num` when all images differ.
        """
        return num / (1 + (num - 1) * self.copy_rate)

    def design_effect(self, num: int) -> float:
        """Return by how much copies raise the variance of a mean over `num` images: 1 or more."""
        return num / self.independent(num)

    @cached_property
    def fake_moments(self) -> Moments:
        """Moments of all fakes."""
        return self.fake_moments_of_all or Moments.of(self.fake_features)

    @cached_property
    def held_out_moments(self) -> Moments | None:
        """Moments of the test split; None without one."""
        held_out = self.held_out_features
        if self.held_out_moments_of_all is None and held_out is not None and len(held_out):
            return Moments.of(held_out)
        return self.held_out_moments_of_all

    @cached_property
    def fake_classes(self) -> ClassStatistics | None:
        """Class statistics of all fakes, for the splits of the seed; None without a classifier."""
        if self.fake_statistics is not None or self.fake_probabilities is None:
            return self.fake_statistics
        split_N = score_splits(len(self.fake_probabilities), SPLITS, self.seed)
        return ClassStatistics.of(self.fake_probabilities, split_N, SPLITS)

    @property
    def num_fake(self) -> int:
        """Number of images of the folder, including those whose features are not stored."""
        if self.fake_moments_of_all is not None:
            return self.fake_moments_of_all.n
        return len(self.fake_features)

    @cached_property
    def neighbours(self) -> NeighbourPass:
        """The distance pass that all neighbour metrics share."""
        from bench.statistics.neighbours.search import neighbour_pass

        return neighbour_pass(
            self.real_features,
            self.fake_features,
            real_nearest=self.real_nearest,
            device=self.device,
        )

    @cached_property
    def frechet_expansion(self) -> FrechetExpansion:
        """Dependence of FID on the draw of the fakes, shared by its intervals."""
        from bench.metrics.frechet_expansion import expand

        return expand(self.real_moments, self.fake_features, self.seed, self.copy_rate)

    @cached_property
    def prd_clusters(self) -> PRDClusters:
        """The clusterings behind the precision-recall curve and its intervals."""
        from bench.metrics.prd_clustering import prd_clusters

        return prd_clusters(self.real_features, self.fake_features, self.seed)

    @cached_property
    def prd(self) -> PRDCurve:
        """The precision-recall curve that both PRD scores are read from."""
        return self.prd_clusters.curve


class Saying(NamedTuple):
    """A sentence about a value, for a reader who does not know the metric.

    `alone` holds the field {value}. `compared` holds {value} and {expected}, and replaces `alone`
    when the record has an expected value. With `percent`, both are shares shown in percent. `hint`
    is the one thing to try first; a page shows it beside a value that falls short of perfect.
    """

    alone: str
    compared: str = ""
    percent: bool = False
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One row of the table: a metric, and everything that a report needs to know about it.

    Construction raises `ValueError` for an empty text and for a choice that does not exist.
    """

    name: str  # fixes the definition: a protocol never changes under its name
    title: str  # what it is called in a heading
    meaning: str  # what the value says, in one short line without a full stop
    unit: str
    citation: str
    direction: Direction  # lower or higher is better; or the expected value is the target
    scale: Scale  # of an axis that shows the values

    # Raises `UndefinedMetric` for no value. The code of its module, and of what that imports, is
    # part of the digest in a record.
    compute: Callable[[MetricInputs], MetricValue]
    # what it compares with; moments and class shares are those of the whole train split
    reads: frozenset[Part]
    uses: frozenset[SharedWork]  # from which a report also draws pictures
    sees: Literal["all", "subset"]  # of a large folder: all images, or a fixed random subset
    depends_on_count: bool  # whether the expected value depends on the number of images
    # Smallest value that the metric can have for infinitely many images: 0 for a distance.
    # Intervals and perfect values never extend below it, also where an unbiased value does.
    least: float | None = None

    # Expected value of two samples of one distribution, in closed form. Without it, a report shows
    # the score of held-out real images.
    expected: Callable[[Sizes], float] | None = None
    # Estimate of the score of perfect images, for a metric that would compare held-out images
    # with themselves.
    perfect: Callable[[MetricInputs], float] | None = None
    # Interval of a value that `compute` returned for the same inputs; raises `UndefinedMetric`.
    # It counts images by `MetricInputs.independent`.
    uncertainty: Callable[[MetricInputs, MetricValue], Uncertainty] | None = None
    constants: Mapping[str, Any] = field(default_factory=dict)  # of the protocol, for the record

    highlight: bool = False  # whether a summary card shows it among its few numbers
    saying: Saying | None = None  # sentence on a page; without it, the table alone shows the value
    # Name of the metric of diversity that a plot of tradeoffs draws against this one of quality.
    diversity: str | None = None

    def interval(self, inputs: MetricInputs, found: MetricValue) -> Uncertainty:
        """Return the interval of the value `found`, which never extends below `least`.

        Raises `UndefinedMetric` for a metric without intervals, and as `uncertainty` does.
        """
        if self.uncertainty is None:
            raise UndefinedMetric(f"{self.name} has no interval")
        interval = self.uncertainty(inputs, found)
        return interval if self.least is None else at_least(interval, self.least)

    def __post_init__(self) -> None:
        for text in ("name", "title", "meaning", "unit", "citation"):
            if not getattr(self, text).strip():
                raise ValueError(f"metric {self.name!r}: {text} is empty")
        for name, valid in CHOICES.items():
            value = getattr(self, name)
            wrong = (value if isinstance(value, frozenset) else {value}) - set(valid)
            if wrong:
                raise ValueError(
                    f"metric {self.name!r}: {name} {sorted(wrong)}: expected {', '.join(valid)}"
                )


CHOICES = {
    "direction": get_args(Direction),
    "scale": get_args(Scale),
    "reads": get_args(Part),
    "uses": get_args(SharedWork),
    "sees": ("all", "subset"),
}
