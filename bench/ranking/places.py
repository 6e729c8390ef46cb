"""The order of submissions, where those that do not differ significantly share a place.

"Not significantly different" is not transitive, so the rule is fixed: submissions are ordered by
the estimate of the metric; one starts a new group when it differs significantly, by Holm's method
over all pairs, from the best of the current group. The place of a group is one more than the number
of submissions before it.

Shape legend: N submissions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import UsageError
from bench.records.score_record import ScoreRecord, ScoreValue
from bench.statistics.intervals import difference, holm
from bench.tables.significance import distance

ALPHA = 0.05


@dataclass(frozen=True)
class MetricPlaces:
    """The places of N submissions by one metric.

    `places` are 1 for the best. `order` lists positions from best to worst; equal estimates keep
    the order given. `differences` and `p_values` are N,N: row minus column in distance from ideal,
    and its p-value after Holm's method. A pair without two intervals is compared by its values.
    """

    metric: str
    places: tuple[int, ...]
    order: tuple[int, ...]
    differences: NDArray[np.float64]
    p_values: NDArray[np.float64]


def entry_of(record: ScoreRecord, metric: str) -> ScoreValue:
    """Return the value of a metric. Raises `UsageError` when the record lacks it or has none."""
    for entry in record.values:
        if entry.metric == metric and entry.value is not None:
            return entry
    raise UsageError(f"{record.submission.name} has no value of {metric}, which the ranking needs")


def metric_places(
    records: Sequence[ScoreRecord], metric: str, *, alpha: float = ALPHA
) -> MetricPlaces:
    """Return the places of N records by a metric. Raises `UsageError` for a missing value."""
    distances = [distance(entry_of(record, metric)) for record in records]
    n = len(distances)
    differences, p_values = np.zeros((n, n)), np.ones((n, n))
    pairs = [(i, j) for i in range(n) for j in range(i)]
    found = [difference(distances[j], distances[i]) for i, j in pairs]
    for (i, j), one, p_value in zip(
        pairs, found, holm([one.p_value for one in found]), strict=True
    ):
        differences[i, j], differences[j, i] = one.estimate, -one.estimate
        p_values[i, j] = p_values[j, i] = p_value
    order = sorted(range(n), key=lambda row: distances[row].estimate)
    places, best = [0] * n, 0
    for position, row in enumerate(order):
        if position == 0 or p_values[row, order[best]] < alpha:
            best = position
        places[row] = best + 1
    return MetricPlaces(metric, tuple(places), tuple(order), differences, p_values)


def by_order(
    records: Sequence[ScoreRecord], metrics: Sequence[str], *, alpha: float = ALPHA
) -> tuple[int, ...]:
    """Return places by the first metric, ties by the second, and so on."""
    tuples = list(
        zip(*(metric_places(records, name, alpha=alpha).places for name in metrics), strict=True)
    )
    return _ranked(tuples)


def by_weights(
    records: Sequence[ScoreRecord], weights: Mapping[str, float], *, alpha: float = ALPHA
) -> tuple[int, ...]:
    """Return places by the weighted sum of the places in several metrics.

    Raises `UsageError` for weights that are not positive and finite.
    """
    wrong = [name for name, weight in weights.items() if not 0 < weight < math.inf]
    if wrong or not weights:
        raise UsageError(f"weights of {', '.join(wrong) or 'nothing'}: expected positive numbers")
    sums = np.zeros(len(records))
    for name, weight in weights.items():
        sums += weight * np.array(metric_places(records, name, alpha=alpha).places)
    return _ranked([round(float(value), 9) for value in sums])


def _ranked(keys: Sequence[tuple[int, ...]] | Sequence[float]) -> tuple[int, ...]:
    """Return the place of each key: one more than the number of smaller ones."""
    ordered = sorted(keys)
    return tuple(ordered.index(key) + 1 for key in keys)
