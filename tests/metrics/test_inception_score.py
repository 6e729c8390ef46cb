"""Inception Score against torch-fidelity 0.4, closed forms and a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_fidelity.metric_isc import isc_features_to_metric

from bench.metrics.base import MetricInputs, UndefinedMetric
from bench.metrics.inception_score import INCEPTION_SCORE, inception_score, score_of
from bench.statistics.moments import ClassStatistics, Features, Moments, score_splits


def probabilities(logits):
    return Features(values=np.zeros((len(logits), 1), np.float32), logits=logits).probabilities


@pytest.mark.parametrize(("n", "k"), [(1003, 10), (10, 10), (500, 1008)])
def test_agrees_with_torch_fidelity(n, k):
    logits = (np.random.default_rng(n).standard_normal((n, k)) * 4).astype(np.float32)
    expected = isc_features_to_metric(torch.from_numpy(logits))
    got = inception_score(probabilities(logits))
    assert got.mean == pytest.approx(expected["inception_score_mean"], rel=1e-12)
    assert got.std == pytest.approx(expected["inception_score_std"], rel=1e-9, abs=1e-12)


def test_certain_and_balanced_scores_the_number_of_classes():
    p = np.eye(4)[np.arange(400) % 4]  # exact zeros: 0 log 0 = 0
    got = inception_score(p, splits=1)
    assert got.mean == pytest.approx(4, rel=1e-14)
    assert got.std == 0


def test_one_answer_for_all_scores_one():
    p = np.tile([0.7, 0.2, 0.1], (100, 1))
    got = inception_score(p)
    assert got.mean == pytest.approx(1, abs=1e-14)
    assert got.std == pytest.approx(0, abs=1e-14)


def test_two_images_by_hand():
    # p = (1,0) and (1/2,1/2), mean (3/4,1/4): KL = log(4/3) and (log(2/3) + log 2)/2,
    # IS = exp of their mean = sqrt(4/3 * sqrt(4/3)) = (4/3)^(3/4)
    got = inception_score(np.array([[1.0, 0], [0.5, 0.5]]), splits=1)
    assert got.mean == pytest.approx((4 / 3) ** 0.75, rel=1e-14)


@settings(deadline=None, max_examples=40)
@given(st.integers(10, 60), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0.01, 60))
def test_equals_a_plain_loop(n, k, seed, sharpness):
    p = probabilities(np.random.default_rng(seed).standard_normal((n, k)) * sharpness)
    order = np.random.RandomState(seed).permutation(n)
    scores = []
    for i in range(10):
        part = p[order[i * n // 10 : (i + 1) * n // 10]]
        q = part.mean(axis=0)
        kl = [
            sum(a * math.log(a / b) for a, b in zip(row, q, strict=True) if a > 0) for row in part
        ]
        scores.append(math.exp(sum(kl) / len(kl)))
    got = inception_score(p, seed=seed)
    assert got.mean == pytest.approx(np.mean(scores), rel=1e-10)
    assert got.std == pytest.approx(np.std(scores), rel=1e-6, abs=1e-10)
    assert 1 - 1e-12 <= got.mean <= min(k, math.ceil(n / 10)) + 1e-9


def test_undefined():
    with pytest.raises(UndefinedMetric, match="10 splits needs that many images, got 9"):
        inception_score(np.full((9, 2), 0.5))
    with pytest.raises(UndefinedMetric, match="NaN"):
        inception_score(np.full((20, 2), np.nan))


def test_statistics_in_parts_score_as_torch_fidelity_on_all_logits():
    n, splits = 1234, 10
    logits = (np.random.default_rng(3).standard_normal((n, 40)) * 3).astype(np.float32)
    p, dealt = probabilities(logits), score_splits(n, splits, 2020)
    parts = [
        ClassStatistics.of(p[i : i + 100], dealt[i : i + 100], splits) for i in range(0, n, 100)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total.plus(part)
    expected = isc_features_to_metric(torch.from_numpy(logits))
    assert score_of(total).mean == pytest.approx(expected["inception_score_mean"], rel=1e-12)
    assert score_of(total).std == pytest.approx(expected["inception_score_std"], rel=1e-9)


def test_statistics_of_all_images_come_before_the_probabilities_of_some():
    """Of two classes, all images are evenly spread (IS 2); the ones that were kept are all alike
    (IS 1).
    """
    p = np.eye(2)[np.arange(40) % 2]
    everything = ClassStatistics.of(p, score_splits(40, 10, 2020), 10)
    kept = np.zeros((20, 1), np.float32)
    inputs = MetricInputs(
        fake_features=kept,
        fake_probabilities=np.eye(2)[np.zeros(20, int)],
        real_features=kept,
        real_moments=Moments.of(kept),
        fake_statistics=everything,
    )
    expected = isc_features_to_metric(torch.from_numpy(np.log(np.maximum(p, 1e-30))))
    found = INCEPTION_SCORE.compute(inputs)
    assert found.value == pytest.approx(expected["inception_score_mean"], rel=1e-9)
    assert found.value > 1.5


def test_no_classifier_no_score():
    kept = np.zeros((20, 1), np.float32)
    inputs = MetricInputs(
        fake_features=kept,
        fake_probabilities=None,
        real_features=kept,
        real_moments=Moments.of(kept),
    )
    with pytest.raises(UndefinedMetric, match="the extractor is no classifier"):
        INCEPTION_SCORE.compute(inputs)
