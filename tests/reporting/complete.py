"""Made-up complete records with intervals and findings, and exhibits of every kind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.metrics import METRICS
from bench.records.pictures_file import EXHIBITS
from bench.records.score_record import FindingEntry, IntervalEntry, ScoreRecord, ScoreValue
from bench.reporting.sources import Exhibits, Scored
from tests.records.test_score_record import record

HOSTILE = '<img src=x onerror="alert(1)">$\\frac{|`*_=1+1'
UNIT_METRICS = {"precision_k3", "recall_k3", "coverage_k5", "anomaly_auc", "authenticity"}


def interval(estimate: float, standard_error: float) -> IntervalEntry:
    return IntervalEntry(
        estimate=estimate,
        standard_error=standard_error,
        low=estimate - 1.96 * standard_error,
        high=estimate + 1.96 * standard_error,
        level=0.95,
        method="made up",
    )


def entry(metric: str, value: float, standard_error: float | None = None) -> ScoreValue:
    row = METRICS[metric]
    return ScoreValue(
        metric=metric,
        value=value,
        interval=None if standard_error is None else interval(value, standard_error),
        expected=0.85 if metric in UNIT_METRICS else 0.25,
        expected_source="2,000 held-out real images",
        direction=row.direction,
        unit=row.unit,
        n_real=10_000,
        n_fake=2_000,
        details={"sizes": [200, 1000, 2000], "fid_at_sizes": [3.1, 1.2, 1.0], "slope": 400.0}
        if metric == "fid_infinity"
        else {},
    )


def complete_record(name: str = "team-1", seed: int = 0) -> ScoreRecord:
    """Return a record with all metrics and intervals, one missing value and three findings."""
    rng = np.random.default_rng(seed)
    values = [
        entry(metric, float(rng.uniform(0.3, 0.9) * (1 if metric in UNIT_METRICS else 20)), 0.01)
        for metric in METRICS
    ]
    values[-1] = values[-1].model_copy(
        update={"value": None, "interval": None, "reason": f"too few images {HOSTILE}"}
    )
    findings = tuple(
        FindingEntry(
            code=code,
            severity=severity,
            count=12,
            examples=("00001.png", f"{HOSTILE}.png"),
            message=f"{severity} about the images {HOSTILE}",
            fix="save them again",
            figures={"share": 0.4},
        )
        for code, severity in (("blurred", "info"), ("collapse", "warning"), ("broken", "error"))
    )
    base = record(name, tuple(values))
    digest = f"{seed + 1:08x}" * 8
    submission = base.submission.model_copy(
        update={"num_images": 2_000, "sequence_digest": digest, "pixel_digest": digest}
    )
    return base.model_copy(update={"submission": submission, "findings": findings})


def _images(rng: np.random.Generator, n: int) -> NDArray[np.uint8]:
    return rng.integers(0, 256, (n, 28, 28, 1), np.uint8)


def complete_exhibits(seed: int = 0) -> Exhibits:
    """Return exhibits of every kind."""
    rng = np.random.default_rng(seed)
    grey, curve = rng.uniform(0.1, 1, (2, 256)), np.linspace(0, 1, 101)
    classes = np.array([0.06] * 9 + [0.46])
    arrays: Exhibits = {
        "best_realism": np.linspace(2, 1, 24).astype(np.float32),
        "worst_realism": np.linspace(0.1, 0.4, 24).astype(np.float32),
        "neighbour_distances": rng.uniform(1, 5, 24).astype(np.float32),
        "copy_distances": rng.uniform(0, 2, 8).astype(np.float32),
        "duplicate_sizes": np.array([40, 7, 2]),
        "grey_histogram": grey[0] / grey[0].sum(),
        "reference_grey_histogram": grey[1] / grey[1].sum(),
        "class_shares": classes,
        "reference_class_shares": np.full(10, 0.1),
        "pca_fake": rng.standard_normal((40, 10)).astype(np.float32),
        "pca_real": rng.standard_normal((40, 10)).astype(np.float32),
        "roc_false_positives": curve,
        "roc_true_positives": curve**0.5,
        "prd_precision": curve,
        "prd_recall": 1 - curve**3,
    }
    sizes = {"sample": 60, "best": 24, "worst": 24, "neighbour": 24, "copy": 8, "duplicate": 20}
    arrays |= {f"{kind}_images": _images(rng, n) for kind, n in sizes.items()}
    arrays |= {
        f"{kind}_training_images": _images(rng, sizes[kind]) for kind in ("neighbour", "copy")
    }
    assert set(arrays) == set(EXHIBITS)
    return arrays


def complete(num: int = 1) -> list[Scored]:
    """Return several submissions with everything that a page can show."""
    return [
        Scored(complete_record(f"team-{seed + 1}", seed), complete_exhibits(seed))
        for seed in range(num)
    ]
