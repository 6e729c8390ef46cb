"""The table of metrics, in the order in which they are shown."""

from __future__ import annotations

from bench.metrics.anomaly_auc import ANOMALY_AUC
from bench.metrics.authenticity import AUTHENTICITY
from bench.metrics.base import Metric
from bench.metrics.class_coverage import CLASS_KL, MEAN_CONFIDENCE, MODES_COVERED
from bench.metrics.ct_score import CT_SCORE
from bench.metrics.density_coverage import COVERAGE, DENSITY
from bench.metrics.frechet import FID, FID_INFINITY
from bench.metrics.held_out_frechet import FID_TEST
from bench.metrics.inception_score import INCEPTION_SCORE
from bench.metrics.kid import KID_POLY3
from bench.metrics.prd_scores import PRD_F1_8, PRD_F8
from bench.metrics.precision_recall import PRECISION, RECALL
from bench.metrics.vendi import VENDI_SCORE

_ROWS = (
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

METRICS: dict[str, Metric] = {row.name: row for row in _ROWS}
if len(METRICS) != len(_ROWS):
    raise ValueError("two metrics of one name")
