"""Intervals of all metrics: they exist, are finite, hold their estimate, and behave."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from threadpoolctl import threadpool_limits

from bench.metrics import METRICS
from bench.metrics.base import UndefinedMetric
from bench.references.perfect_values import PerfectValue
from bench.scoring.evaluate import evaluate
from bench.statistics.intervals import LEVEL
from bench.statistics.moments import Moments
from tests.metrics.test_properties import EXTREMES, D, inputs_of, sample, typical

SHARES = {
    "precision_k3",
    "recall_k3",
    "coverage_k5",
    "prd_f8",
    "prd_f1_8",
    "mean_confidence",
    "anomaly_auc",
    "authenticity",
}
# seeded choices of pairs, blocks or splits: another order is another draw of them
SEEDED = {"fid", "fid_infinity", "fid_test", "kid_poly3", "recall_k3", "prd_f8", "prd_f1_8"}

every_metric = pytest.mark.parametrize("name", sorted(METRICS))


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def interval(name, inputs):
    metric = METRICS[name]
    return metric.uncertainty(inputs, metric.compute(inputs))


def interval_or_none(name, inputs):
    try:
        return interval(name, inputs)
    except UndefinedMetric:
        return None


def assert_sound(name, found):
    assert all(math.isfinite(number) for number in found[:4])
    assert found.standard_error >= 0
    assert found.low <= found.estimate <= found.high
    assert found.method
    if name in SHARES:
        assert found.low >= 0
        assert found.high <= 1


@every_metric
def test_typical_folder(name):
    real, fake = typical()
    inputs = inputs_of(real, fake)
    found = interval(name, inputs)
    assert_sound(name, found)
    assert found.low < found.high or name == "modes_covered"
    entry = evaluate(METRICS[name], inputs, PerfectValue(None, "none")).interval
    assert entry is not None
    assert (entry.low, entry.high, entry.level) == (found.low, found.high, LEVEL)


@every_metric
def test_narrower_with_more_images(name):
    real = sample(0, 1350)  # PRD takes as many of either side
    widths = []
    for n in (150, 1350):
        found = interval(name, inputs_of(real, sample(1000, n, weights=(50, 30, 18, 2))))
        widths.append(found.high - found.low)
    if name == "modes_covered":  # a class is at the limit
        assert widths[1] <= widths[0]
    elif name == "recall_k3":  # over draws, the sd is .016 with 150 images and .013 with 1,350
        assert widths[1] < 1.25 * widths[0]
    elif name == "ct_score":  # a test statistic grows with n, and so does its error
        assert widths[1] < 3 * widths[0]
    else:
        assert widths[1] < 0.75 * widths[0]


@every_metric
@settings(deadline=None, max_examples=3)
@given(seed=st.integers(0, 2**20))
def test_order_of_images(name, seed):
    real, fake = typical(seed)
    order = np.random.default_rng(seed).permutation(len(fake))
    one, other = (interval_or_none(name, inputs_of(real, f)) for f in (fake, fake[order]))
    if name in SEEDED:  # another draw may lie on the other side of a limit
        assume(one is not None and other is not None)
    if name in SEEDED | {"inception_score"}:
        assert other.standard_error == pytest.approx(one.standard_error, rel=0.6, abs=0.02)
    else:
        assert other[:4] == pytest.approx(one[:4], rel=1e-5, abs=1e-9)


@every_metric
@pytest.mark.parametrize("case", EXTREMES)
def test_extremes_have_an_interval_or_none(name, case):
    real, fake = (side.astype(np.float32) for side in EXTREMES[case])
    assert_sound_or_undefined(name, real, fake)


def assert_sound_or_undefined(name, real, fake):
    inputs = inputs_of(real, fake, held_out=sample(3, 30))
    metric = METRICS[name]
    try:
        found = metric.uncertainty(inputs, metric.compute(inputs))
    except UndefinedMetric as undefined:
        reason = str(undefined)
    else:
        assert_sound(name, found)
        return
    assert len(reason) > 10


@every_metric
@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(
    shape=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    levels=st.integers(1, 3),
    data=st.data(),
)
def test_many_ties_have_an_interval_or_none(name, shape, levels, data):
    real, fake = (
        data.draw(hnp.arrays(np.int8, (n, D), elements=st.integers(0, levels))).astype(np.float32)
        for n in shape
    )
    assert_sound_or_undefined(name, real, fake)


@every_metric
def test_inputs_are_not_written_to(name):
    real, fake = typical()
    inputs = inputs_of(real, fake)
    for array in (real, fake, inputs.fake_probabilities, inputs.held_out_features):
        array.flags.writeable = False
    assert interval(name, inputs) == interval(name, inputs_of(real, fake))


@pytest.mark.parametrize("name", ["fid", "inception_score", "mean_confidence", "class_kl"])
def test_all_images_of_a_large_folder_count(name):
    """Features and probabilities of 600 of 3,000 images are kept: how images vary is read from
    these, how many there are from the statistics of all.
    """
    real, fake = sample(0, 300), sample(1000, 3000, weights=(50, 30, 18, 2), spread=2.5)
    whole = inputs_of(real, fake)
    kept = dataclasses.replace(
        whole,
        fake_features=fake[:600],
        fake_probabilities=whole.fake_probabilities[:600],
        fake_moments_of_all=Moments.of(fake),
        fake_statistics=whole.fake_classes,
    )
    one, other = interval(name, whole), interval(name, kept)
    assert other.standard_error == pytest.approx(one.standard_error, rel=0.2)
    assert METRICS[name].compute(kept).value == pytest.approx(METRICS[name].compute(whole).value)
