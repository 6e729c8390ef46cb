"""Anomaly AUC against scikit-learn, and DeLong's error against its definition and a bootstrap."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from bench.metrics.anomaly_auc import ANOMALY_AUC
from bench.metrics.base import MetricInputs, Sizes, UndefinedMetric
from bench.statistics.moments import Moments
from bench.statistics.neighbours.search import nearest_neighbours
from bench.statistics.roc import auc


def direct_error(anomalous, normal):
    """DeLong et al. 1988, by the kernel over all pairs."""
    a, b = anomalous[:, None], normal[None]
    kernel = (a > b) + 0.5 * (a == b)
    m, n = kernel.shape
    return math.sqrt(kernel.mean(axis=1).var(ddof=1) / m + kernel.mean(axis=0).var(ddof=1) / n)


def normal(n, d, seed):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def inputs(fake, real, held_out, **more):
    return MetricInputs(
        fake_features=fake,
        fake_probabilities=None,
        real_features=real,
        real_moments=Moments.of(real),
        held_out_features=held_out,
        **more,
    )


scores = st.lists(st.integers(0, 12), min_size=2, max_size=40).map(np.array)


@settings(deadline=None)
@given(anomalous=scores, normal=scores)
def test_equals_scikit_learn_and_the_direct_error(anomalous, normal):
    """Integer scores: ties everywhere."""
    labels = np.repeat([1, 0], [len(anomalous), len(normal)])
    found = auc(anomalous, normal)
    assert found.value == pytest.approx(
        roc_auc_score(labels, np.concatenate([anomalous, normal])), abs=1e-12
    )
    assert found.standard_error == pytest.approx(direct_error(anomalous, normal), abs=1e-12)


def test_by_hand():
    # pairs: 3>1, 3>2, 3>=3 half, 1=1 half, 1<2, 1<3: (2.5 + 0.5) / 6
    assert auc(np.array([3, 1]), np.array([1, 2, 3])).value == 0.5
    assert auc(np.array([2.0, 3]), np.array([0.0, 1])) == (1.0, 0.0, 0.0)
    assert auc(np.array([0.0, 0]), np.array([0.0, 0])) == (0.5, 0.0, 0.0)


def test_error_equals_a_bootstrap():
    rng = np.random.default_rng(0)
    x, y = rng.normal(0.7, 1, 300), rng.normal(0, 1, 400)
    resampled = [auc(rng.choice(x, len(x)), rng.choice(y, len(y))).value for _ in range(1000)]
    # the standard deviation of 1,000 resamples is itself known to 2.2 %
    assert auc(x, y).standard_error == pytest.approx(np.std(resampled), rel=0.09)


def test_scores_on_one_side_only():
    assert math.isnan(auc(np.array([1.0]), np.array([0.0, 2])).standard_error)
    with pytest.raises(ValueError, match="needs scores on both sides, got 0 and 1"):
        auc(np.array([]), np.array([1.0]))
    with pytest.raises(ValueError, match="nan"):
        auc(np.array([np.nan, 1]), np.array([1.0]))


def test_far_typical_and_equal_folders():
    real, held_out = normal(400, 8, 1), normal(300, 8, 2)
    far = ANOMALY_AUC.compute(inputs(normal(200, 8, 3) + 9, real, held_out))
    assert far.value == 1
    collapsed = ANOMALY_AUC.compute(inputs(normal(200, 8, 3) * np.float32(0.3), real, held_out))
    assert collapsed.value < 0.2
    equal = ANOMALY_AUC.compute(inputs(normal(200, 8, 3), real, held_out))
    assert abs(equal.value - 0.5) < 3 * equal.details["standard_error"]
    assert equal.details["n_held_out"] == 300
    assert ANOMALY_AUC.expected is not None
    assert ANOMALY_AUC.expected(Sizes(400, 200)) == 0.5


def test_the_detector_is_the_distance_to_the_fifth_train_image():
    # train 0..5; held-out at 0 (5th: 4) and 2 (sorted 0, 1, 1, 2, 2: 2); folder at 1 (0, 1, 1, 2,
    # 3: 3) and 6 (1..5: 5). Pairs: 3<4, 3>2, 5>4, 5>2.
    real = np.arange(6, dtype=np.float32)[:, None]
    at = lambda *values: np.array(values, np.float32)[:, None]  # noqa: E731
    assert ANOMALY_AUC.compute(inputs(at(1, 6), real, at(0, 2))).value == 0.75


def test_stored_neighbours_give_the_same_value():
    real, held_out, fake = normal(100, 4, 1), normal(80, 4, 2), normal(60, 4, 3)
    stored = nearest_neighbours(held_out, real, 5)
    computed = ANOMALY_AUC.compute(inputs(fake, real, held_out))
    assert ANOMALY_AUC.compute(inputs(fake, real, None, held_out_nearest=stored)) == computed


def test_undefined():
    real, fake = normal(9, 2, 1), normal(9, 2, 2)
    with pytest.raises(UndefinedMetric, match="the reference has no held-out images"):
        ANOMALY_AUC.compute(inputs(fake, real, None))
    with pytest.raises(UndefinedMetric, match="anomaly_auc needs 5 or more real images, got 4"):
        ANOMALY_AUC.compute(inputs(fake, real[:4], fake))


def test_a_single_image_has_a_value_and_no_error():
    found = ANOMALY_AUC.compute(inputs(normal(1, 2, 1), normal(9, 2, 2), normal(9, 2, 3)))
    assert found.details == {"n_held_out": 9}


@settings(deadline=None)
@given(anomalous=scores, held_out=scores)
def test_the_folders_part_of_the_error(anomalous, held_out):
    """The mean over held-out images of the kernel, as a mean over the folder's images."""
    a, b = anomalous[:, None], held_out[None]
    of_image = ((a > b) + 0.5 * (a == b)).mean(axis=1)
    expected = math.sqrt(of_image.var(ddof=1) / len(of_image))
    assert auc(anomalous, held_out).of_anomalous == pytest.approx(expected, abs=1e-12)
