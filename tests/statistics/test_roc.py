"""ROC numbers against scikit-learn, by hand with ties, and DeLong's own worked example."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.metrics import roc_curve as sklearn_curve

from bench.statistics.intervals import wilson
from bench.statistics.roc import (
    auc,
    auc_interval,
    average_precision,
    fpr_at_tpr,
    roc_curve,
    roc_numbers,
)

# DeLong et al. 1988, the 43 patients without missing values: albumin, total protein, K-G score,
# and whether surgery helped (as printed in the SAS/STAT manual, PROC LOGISTIC, example 8).
PATIENTS = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0
1.6 5.6 5 1  3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1
4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1
3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1
3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1
3.5 6.2 5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1
3.6 6.6 5 1
"""
TABLE = np.array(PATIENTS.split(), float).reshape(-1, 4)
ANOMALOUS = TABLE[:, 3] == 0
# the lower the proteins, the higher the K-G score, the less surgery helps
ALBUMIN, PROTEIN, KG = (
    (column[ANOMALOUS], column[~ANOMALOUS]) for column in (-TABLE[:, 0], -TABLE[:, 1], TABLE[:, 2])
)

tied = st.lists(st.integers(0, 9), min_size=1, max_size=30).map(lambda x: np.array(x, np.float64))


def stacked(anomalous, normal):
    return np.repeat([1, 0], [len(anomalous), len(normal)]), np.concatenate([anomalous, normal])


@pytest.mark.parametrize(
    ("scores", "area", "error"),
    [(ALBUMIN, 0.7366, 0.0927), (PROTEIN, 0.6478, 0.1000), (KG, 0.7258, 0.1028)],
)
def test_areas_of_the_worked_example(scores, area, error):
    assert (len(scores[0]), len(scores[1])) == (12, 31)
    found = auc(*scores)
    assert found.value == pytest.approx(area, abs=5e-5)
    assert found.standard_error == pytest.approx(error, abs=5e-5)


@given(anomalous=tied, normal=tied)
def test_equal_to_scikit_learn(anomalous, normal):
    labels, scores = stacked(anomalous, normal)
    assert auc(anomalous, normal).value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    expected = average_precision_score(labels, scores)
    assert average_precision(anomalous, normal) == pytest.approx(expected, abs=1e-12)
    false, true, thresholds = sklearn_curve(labels, scores, drop_intermediate=False)
    found = roc_curve(anomalous, normal)
    np.testing.assert_allclose(found.false_positives, false, atol=1e-12)
    np.testing.assert_allclose(found.true_positives, true, atol=1e-12)
    np.testing.assert_array_equal(found.thresholds, thresholds)
    area = np.trapezoid(found.true_positives, found.false_positives)
    assert area == pytest.approx(auc(anomalous, normal).value, abs=1e-12)


@given(anomalous=tied, normal=tied, tpr=st.sampled_from([0.05, 0.5, 0.8, 0.95, 1.0]))
def test_fpr_is_the_least_that_finds_enough(anomalous, normal, tpr):
    """By trying every score as the threshold."""
    tried = [
        np.mean(normal >= at)
        for at in np.concatenate([anomalous, normal])
        if np.mean(anomalous >= at) >= tpr - 1e-12
    ]
    assert fpr_at_tpr(anomalous, normal, tpr) == pytest.approx(min(tried), abs=1e-12)


def test_by_hand():
    # thresholds 3, 2, 1: found 1 of 2 with 1 normal, 1 with 2, 2 with 3 of 3 normal
    anomalous, normal = np.array([3, 1]), np.array([1, 2, 3])
    curve = roc_curve(anomalous, normal)
    np.testing.assert_allclose(curve.false_positives, [0, 1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(curve.true_positives, [0, 1 / 2, 1 / 2, 1])
    # precision 1/2 at the first half of recall, 2/5 at the second
    assert average_precision(anomalous, normal) == pytest.approx(0.5 * 0.5 + 0.5 * 0.4)
    assert fpr_at_tpr(anomalous, normal) == 1
    assert fpr_at_tpr(anomalous, normal, 0.5) == pytest.approx(1 / 3)
    # 19 of 20 are 95 %: the threshold may leave out the lowest
    assert fpr_at_tpr(np.arange(20), np.array([0.5, -1])) == 0


def test_the_interval_covers_the_area():
    """2,000 draws of 40 and 60 normal scores apart by 1: P = Phi(1 / sqrt 2)."""
    rng = np.random.default_rng(0)
    true = 0.5 * (1 + math.erf(0.5))
    inside = 0
    for _ in range(2_000):
        found = auc_interval(rng.normal(1, 1, 40), rng.normal(0, 1, 60))
        inside += found.low <= true <= found.high
    assert 0.935 < inside / 2_000 < 0.97


def test_the_interval_where_all_pairs_are_in_order():
    found = auc_interval(np.arange(10, 30), np.arange(10))
    assert found.estimate == 1
    assert (found.low, found.high) == pytest.approx(wilson(10, 10)[2:4])
    assert found.low < 0.8
    assert auc_interval(np.array([1.0]), np.array([0.0, 2])) is None


def test_numbers_of_scores_with_labels():
    labels, scores = stacked(*KG)
    found = roc_numbers(scores, labels)
    assert found.auc == auc(*KG).value
    assert found.interval is not None
    assert found.interval.low < found.auc < found.interval.high
    assert found.share == 12 / 43


def test_what_has_no_value():
    empty, one, two = np.array([]), np.array([1.0]), np.array([0.0, 1])
    for function in (roc_curve, average_precision, fpr_at_tpr):
        with pytest.raises(ValueError, match="needs both sides, got 0 and 1"):
            function(empty, one)
        with pytest.raises(ValueError, match="NaN"):
            function(np.array([np.nan]), one)
    with pytest.raises(ValueError, match="both sides, got 1 and 0"):
        auc(one, empty)
    with pytest.raises(ValueError, match="true positive rate of 0"):
        fpr_at_tpr(two, two, 0)
