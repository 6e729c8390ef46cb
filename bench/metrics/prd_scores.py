"""The two numbers of the PRD curve: `prd_f8` (recall-like) and `prd_f1_8` (precision-like).

Sajjadi et al. 2018 (arXiv:1806.00035), section 4.1; the curve is `bench.metrics.prd`, computed
once for both rows.
"""

from __future__ import annotations

from bench.metrics.base import Metric, MetricInputs, MetricValue, UndefinedMetric
from bench.metrics.prd import ANGLES, CLUSTERS, DRAFTS, RUNS, max_f_beta

BETA = 8.0
CURVE_POINTS = 21


def _compute(inputs: MetricInputs, beta: float) -> MetricValue:
    n = min(len(inputs.real_features), len(inputs.fake_features))
    if n < CLUSTERS:
        raise UndefinedMetric(f"PRD needs at least {CLUSTERS} images on each side, got {n}")
    curve = inputs.prd.thinned(CURVE_POINTS)
    return MetricValue(
        max_f_beta(inputs.prd, beta),
        details={
            "images_per_side": n,
            "curve_precision": curve.precision.tolist(),
            "curve_recall": curve.recall.tolist(),
        },
        n_real=n,
    )


_CONSTANTS = {"clusters": CLUSTERS, "runs": RUNS, "drafts": DRAFTS, "angles": ANGLES}

PRD_F8 = Metric(
    name="prd_f8",
    title="PRD F8 (recall)",
    compute=lambda inputs: _compute(inputs, BETA),
    reads=frozenset({"features"}),
    direction="higher",
    unit="share",
    citation="Sajjadi et al. 2018, arXiv:1806.00035",
    constants={**_CONSTANTS, "beta": BETA},
)
PRD_F1_8 = Metric(
    name="prd_f1_8",
    title="PRD F1/8 (precision)",
    compute=lambda inputs: _compute(inputs, 1 / BETA),
    reads=frozenset({"features"}),
    direction="higher",
    unit="share",
    citation="Sajjadi et al. 2018, arXiv:1806.00035",
    constants={**_CONSTANTS, "beta": 1 / BETA},
)
