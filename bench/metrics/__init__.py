"""The table of metrics, in the order in which they are shown.

A metric is one file with one row: the pure functions that compute it, and a `Metric` that binds
them to what a report needs to know (see `bench.metrics.base`). Another package adds a metric with
a module like this one, `nearest_real.py`:

    from bench.metrics.base import Metric, MetricInputs, MetricValue
    from bench.statistics.intervals import Uncertainty, mean_interval


    def compute(inputs: MetricInputs) -> MetricValue:
        return MetricValue(float(inputs.neighbours.fake_to_real.distances[:, 0].mean()))


    def interval(inputs: MetricInputs, _: MetricValue) -> Uncertainty:
        distances = inputs.neighbours.fake_to_real.distances[:, 0]
        return mean_interval(distances, len(distances), "mean over the images, Hall")


    NEAREST_REAL = Metric(
        name="nearest_real",
        title="Distance to the nearest real image",
        meaning="how far the images are from the nearest real image, on average",
        unit="feature units",
        citation="an example",
        direction="lower",
        scale="linear",
        compute=compute,
        uncertainty=interval,
        reads=frozenset({"features"}),
        uses=frozenset({"neighbours"}),
        sees="subset",
        depends_on_count=False,
    )

and an entry point in its pyproject.toml:

    [project.entry-points."latentbench.metrics"]
    nearest_real = "nearest_real:NEAREST_REAL"

Once the package is installed, `latentbench score` computes the metric with the others.
"""

from __future__ import annotations

from bench.errors import LatentbenchError
from bench.metrics.anomaly_auc import ANOMALY_AUC
from bench.metrics.authenticity import AUTHENTICITY
from bench.metrics.base import Metric
from bench.metrics.class_coverage import CLASS_KL, MEAN_CONFIDENCE, MODES_COVERED
from bench.metrics.ct_score import CT_SCORE
from bench.metrics.density_coverage import COVERAGE, DENSITY
from bench.metrics.fid import FID
from bench.metrics.fid_infinity import FID_INFINITY
from bench.metrics.fid_test import FID_TEST
from bench.metrics.inception_score import INCEPTION_SCORE
from bench.metrics.kid import KID_POLY3
from bench.metrics.prd_scores import PRD_F1_8, PRD_F8
from bench.metrics.precision_recall import PRECISION, RECALL
from bench.metrics.vendi import VENDI_SCORE
from bench.runtime.registry import Registry

OWN_METRICS: tuple[Metric, ...] = (
    FID,
    FID_INFINITY,
    KID_POLY3,
    INCEPTION_SCORE,
    PRECISION,
    RECALL,
    DENSITY,
    COVERAGE,
    PRD_F1_8,
    PRD_F8,
    MODES_COVERED,
    CLASS_KL,
    MEAN_CONFIDENCE,
    VENDI_SCORE,
    ANOMALY_AUC,
    AUTHENTICITY,
    CT_SCORE,
    FID_TEST,
)
METRICS = Registry("metric", "latentbench.metrics", Metric, OWN_METRICS)


def known_metric(name: str) -> Metric | None:
    """Return the row of that name; None when no installed package has it, or it cannot be loaded.

    A record may hold values of such a metric.
    """
    try:
        return METRICS.get(name)
    except LatentbenchError:
        return None
