"""Places with ties: by hand, and against statsmodels for Holm's p-values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from bench.errors import UsageError
from bench.ranking.places import by_order, by_weights, metric_places
from bench.records.score_record import IntervalEntry, ScoreRecord, ScoreValue
from tests.records.test_score_record import record as a_record

Z = norm.ppf(0.975)


def entry(metric: str, value: float | None, error: float | None, direction: str) -> ScoreValue:
    interval = None
    if value is not None and error is not None:
        interval = IntervalEntry(
            estimate=value,
            standard_error=error,
            low=value - Z * error,
            high=value + Z * error,
            level=0.95,
            method="normal",
        )
    return ScoreValue(
        metric=metric,
        value=value,
        reason=None if value is not None else "none",
        interval=interval,
        direction=direction,  # type: ignore[arg-type]
        unit="",
        n_real=10,
        n_fake=10,
    )


def record(**values: tuple[float | None, float | None]) -> ScoreRecord:
    directions = {"fid": "lower", "coverage_k5": "higher", "inception_score": "higher"}
    entries = tuple(entry(name, *found, directions[name]) for name, found in values.items())
    return a_record().model_copy(update={"values": entries})


def test_ties_are_with_the_best_of_the_group_and_not_transitive() -> None:
    """10, 12, 14, 16 with errors of 1: neighbours do not differ, 10 and 16 do (z = 6 / sqrt 2 =
    4.24). Six pairs: z of 10 to 14 is 2.83, p .0047, after Holm (two smaller ones: p of 10 to 16
    only, so times 5, and 12 to 16 is equal) .023: 14 starts a group, and 16 joins it.
    """
    found = metric_places([record(fid=(value, 1.0)) for value in (14.0, 10.0, 16.0, 12.0)], "fid")
    assert found.places == (3, 1, 3, 1)
    assert found.order == (1, 3, 0, 2)
    assert found.differences[0, 1] == 4.0
    assert found.differences[1, 0] == -4.0


def test_p_values_are_holms_of_all_pairs() -> None:
    values, errors = np.array([3.0, 1.0, 2.5, 7.0]), np.array([0.5, 0.7, 0.2, 2.0])
    records = [record(fid=(v, e)) for v, e in zip(values, errors, strict=True)]
    found = metric_places(records, "fid")
    pairs = [(i, j) for i in range(4) for j in range(i)]
    raw = [
        2 * norm.sf(abs(values[i] - values[j]) / math.hypot(errors[i], errors[j])) for i, j in pairs
    ]
    expected = multipletests(raw, method="holm")[1]
    np.testing.assert_allclose([found.p_values[pair] for pair in pairs], expected, rtol=1e-9)
    np.testing.assert_array_equal(found.p_values, found.p_values.T)


def test_higher_is_better_where_the_metric_says_so() -> None:
    records = [record(coverage_k5=(value, 0.01)) for value in (0.2, 0.9, 0.5)]
    assert metric_places(records, "coverage_k5").places == (3, 1, 2)


def test_without_intervals_values_decide_and_equal_ones_tie() -> None:
    records = [record(fid=(value, None)) for value in (2.0, 1.0, 2.0)]
    assert metric_places(records, "fid").places == (2, 1, 2)


def test_ties_go_to_the_next_metric() -> None:
    records = [
        record(fid=(10.0, 1.0), coverage_k5=(0.5, 0.01)),
        record(fid=(10.5, 1.0), coverage_k5=(0.8, 0.01)),
        record(fid=(50.0, 1.0), coverage_k5=(0.9, 0.01)),
    ]
    assert by_order(records, ["fid"]) == (1, 1, 3)
    assert by_order(records, ["fid", "coverage_k5"]) == (2, 1, 3)


def test_weighted_sums_of_places() -> None:
    """Places by FID 1, 2, 3, by coverage 3, 2, 1: sums of 2 a + b are 5, 6, 7, of a + b all 4."""
    records = [record(fid=(10.0 * k, 0.1), coverage_k5=(0.3 * k, 0.001)) for k in (1, 2, 3)]
    assert by_weights(records, {"fid": 2.0, "coverage_k5": 1.0}) == (1, 2, 3)
    assert by_weights(records, {"fid": 1.0, "coverage_k5": 1.0}) == (1, 1, 1)


@pytest.mark.parametrize("weight", [0.0, -1.0, math.inf, math.nan])
def test_weights_that_cannot_be(weight: float) -> None:
    with pytest.raises(UsageError, match="weights of fid: expected positive numbers"):
        by_weights([record(fid=(1.0, 0.1))], {"fid": weight})


def test_a_metric_without_a_value() -> None:
    records = [record(fid=(1.0, 0.1)), record(fid=(None, None))]
    with pytest.raises(UsageError, match="has no value of fid, which the ranking needs"):
        metric_places(records, "fid")
