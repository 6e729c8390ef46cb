"""Compute metrics, and bring their values into the form of a record."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable

from bench.anomaly.detectors import DetectorRow
from bench.errors import UsageError
from bench.metrics import METRICS
from bench.metrics.anomaly_auc import ANOMALY_AUC, anomaly_auc_by
from bench.metrics.base import Metric, MetricInputs, MetricValue, UndefinedMetric
from bench.records.score_record import IntervalEntry, ScoreValue
from bench.references.perfect_values import MOMENTS_ONLY, PerfectValue
from bench.runtime.failures import failure_line
from bench.statistics.intervals import LEVEL


def select_metrics(
    names: str | Iterable[str] | None, detector: DetectorRow | None = None
) -> list[Metric]:
    """Return rows of the table by name, in the order of the table; for None all that can be loaded.

    `detector` scores the images for `anomaly_auc`; for None it is the metric's own. Raises
    `UnknownNameError`, and `LatentbenchError` for a named metric of a broken package.
    """
    return [
        anomaly_auc_by(detector.name, detector.constants)
        if detector is not None and metric.name == ANOMALY_AUC.name
        else metric
        for metric in _named(names)
    ]


def _named(names: str | Iterable[str] | None) -> list[Metric]:
    if names is None:
        return list(METRICS.loadable().rows)
    wanted = {names} if isinstance(names, str) else set(names)
    if not wanted:
        raise UsageError(f"no metric is named; valid: {', '.join(METRICS)}")
    rows = {name: METRICS.find(name) for name in sorted(wanted)}
    return [rows[name] for name in METRICS if name in rows]


FAILED = "failed: "  # how the reason begins when a metric of another package raised


def has_failed(value: ScoreValue) -> bool:
    """Return whether a metric of another package raised an exception instead of giving a value."""
    return value.reason is not None and value.reason.startswith(FAILED)


def evaluate(metric: Metric, inputs: MetricInputs, perfect: PerfectValue) -> ScoreValue:
    """Return the value of one metric, or the reason why it has none, as a record holds it.

    Whatever a metric of another package raises, or returns in place of a `MetricValue`, becomes the
    reason. An exception in a metric of this package is a defect and is raised.
    """
    try:
        return _evaluated(metric, inputs, perfect)
    except Exception as error:
        if metric.name in METRICS.own:
            raise
        reason = f"{FAILED}{failure_line(error)}"
        without = dataclasses.replace(metric, compute=_without_value(reason))
        return _evaluated(without, inputs, perfect)


def _without_value(reason: str) -> Callable[[MetricInputs], MetricValue]:
    def compute(_: MetricInputs) -> MetricValue:
        raise UndefinedMetric(reason)

    return compute


def _evaluated(metric: Metric, inputs: MetricInputs, perfect: PerfectValue) -> ScoreValue:
    n_real = None
    if metric.reads & {"moments", "class_shares"}:
        n_real = inputs.real_moments.n if inputs.real_is_counted else None
    elif "features" in metric.reads:
        n_real = len(inputs.real_features)
    found: MetricValue | None
    reason: str | None
    try:
        found, reason = _computed(metric, inputs), None
    except UndefinedMetric as error:
        found, reason = None, str(error)
    if found is not None and not isinstance(found, MetricValue):
        raise TypeError(f"compute returned a {type(found).__name__}, expected a MetricValue")
    if found is not None and not math.isfinite(found.value):
        found, reason = None, "the features are too large: the value overflows"
    spread = None if found is None else found.spread
    if spread is not None and not math.isfinite(spread):
        spread = None
    return ScoreValue(
        metric=metric.name,
        value=None if found is None else found.value,
        reason=reason,
        interval=None if found is None else _interval(metric, inputs, found),
        spread=spread,
        expected=perfect.value,
        expected_source=perfect.source,
        direction=metric.direction,
        unit=metric.unit,
        n_real=n_real if found is None or found.n_real is None else found.n_real,
        n_fake=inputs.num_fake if metric.sees == "all" else len(inputs.fake_features),
        constants=dict(metric.constants),
        details={} if found is None else dict(found.details),
    )


def _computed(metric: Metric, inputs: MetricInputs) -> MetricValue:
    if "features" in metric.reads and not len(inputs.real_features):
        raise UndefinedMetric(MOMENTS_ONLY)
    return metric.compute(inputs)


def _interval(metric: Metric, inputs: MetricInputs, found: MetricValue) -> IntervalEntry | None:
    """Return the interval of a value; None when the metric has none on these inputs."""
    try:
        interval = metric.interval(inputs, found)
    except UndefinedMetric:
        return None
    if not all(math.isfinite(number) for number in interval[:4]):
        return None
    return IntervalEntry(**interval._asdict(), level=LEVEL)
