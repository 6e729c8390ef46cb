"""Class shares, covered modes and their divergence, by hand and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.errors import InputError
from bench.metrics.base import MetricInputs, UndefinedMetric
from bench.metrics.class_coverage import (
    CLASS_KL,
    MAX_LISTED,
    MEAN_CONFIDENCE,
    MODES_COVERED,
    class_kl,
    class_shares,
    modes_covered,
)
from bench.statistics.moments import ClassStatistics, Moments, score_splits

UNIFORM = np.full(10, 0.1)


def test_shares_count_the_most_probable_class():
    p = np.array([[0.6, 0.4, 0], [0.2, 0.5, 0.3], [0.5, 0.5, 0], [0.1, 0.2, 0.7]])
    np.testing.assert_array_equal(class_shares(p), [0.5, 0.25, 0.25])


def test_modes_covered():
    assert modes_covered(UNIFORM, UNIFORM) == 10
    assert modes_covered(np.eye(10)[0], UNIFORM) == 1
    shares = np.array([0.01, 0.0099, 0.9801, 0, 0, 0, 0, 0, 0, 0])  # 10 % of 0.1 is enough
    assert modes_covered(shares, UNIFORM) == 2
    # a class that the reference does not have is no mode
    assert modes_covered(np.array([0.5, 0.5]), np.array([1.0, 0.0])) == 1


def test_class_kl_by_hand():
    # all images of one class in ten: log 10, but for the half counts: q = 10000.5 / 100005
    got = class_kl(np.eye(10)[3], UNIFORM, 100_000)
    assert got == pytest.approx(math.log(100_005 / 10_000.5), rel=1e-14)
    assert got == pytest.approx(math.log(10), abs=1e-4)
    assert class_kl(UNIFORM, UNIFORM, 60_000) == pytest.approx(0, abs=1e-15)


def test_class_absent_from_the_reference_costs_a_finite_amount():
    # q = (100.5, 0.5) / 101: 1/2 log(1/2 * 101 / 100.5) + 1/2 log(1/2 * 101 / 0.5)
    got = class_kl(np.array([0.5, 0.5]), np.array([1.0, 0.0]), 100)
    assert got == pytest.approx(0.5 * math.log(50.5 / 100.5) + 0.5 * math.log(101), rel=1e-13)


def test_expected_class_kl_of_a_perfect_sample():
    # (K - 1) / (2 n), as the docstring says
    rng = np.random.default_rng(0)
    values = [class_kl(rng.multinomial(2000, UNIFORM) / 2000, UNIFORM, 10**6) for _ in range(2000)]
    standard_error = np.std(values) / math.sqrt(len(values))
    assert np.mean(values) == pytest.approx(9 / 4000, abs=4 * standard_error)


def test_different_classifiers_are_refused():
    with pytest.raises(InputError, match="10 classes and the reference 3"):
        modes_covered(UNIFORM, np.full(3, 1 / 3))
    with pytest.raises(InputError, match="10 classes and the reference 3"):
        class_kl(UNIFORM, np.full(3, 1 / 3), 100)


def inputs_of(
    p_NK: np.ndarray | None, *, kept: int, shares: np.ndarray | None, num_real: int = 100
) -> MetricInputs:
    """Class statistics of all of `p_NK`, of which the first `kept` images are at hand."""
    statistics = None
    if p_NK is not None:
        statistics = ClassStatistics.of(p_NK, score_splits(len(p_NK), 10, 2020), 10)
    some = np.zeros((kept, 1), np.float32)
    return MetricInputs(
        fake_features=some,
        fake_probabilities=None if p_NK is None else p_NK[:kept],
        real_features=some,
        real_moments=Moments.of(np.zeros((num_real, 1))),
        real_class_shares=shares,
        fake_statistics=statistics,
    )


def test_metrics_take_in_all_images_of_which_few_are_kept():
    # the 2 images kept are of class 0; of all 10, 4 are class 0, 5 class 1 and 1 class 2
    p = np.full((10, 3), 0.1)
    p[np.arange(10), [0, 0, 0, 0, 1, 1, 1, 1, 1, 2]] = 0.8
    inputs = inputs_of(p, kept=2, shares=np.array([0.4, 0.5, 0.1]))
    assert MODES_COVERED.compute(inputs).value == 3
    assert MODES_COVERED.compute(inputs).details["class_shares"] == [0.4, 0.5, 0.1]
    q = np.array([40.5, 50.5, 10.5]) / 101.5  # half a count added to each of 40, 50, 10
    expected = sum(s * math.log(s / t) for s, t in zip([0.4, 0.5, 0.1], q, strict=True))
    assert CLASS_KL.compute(inputs).value == pytest.approx(expected, rel=1e-12)
    assert MEAN_CONFIDENCE.compute(inputs).value == pytest.approx(0.8, rel=1e-14)


@pytest.mark.parametrize(("k", "listed"), [(MAX_LISTED, True), (MAX_LISTED + 1, False)])
def test_shares_of_very_many_classes_are_not_listed(k, listed):
    p = np.full((12, k), 1 / k)
    inputs = inputs_of(p, kept=12, shares=np.full(k, 1 / k))
    for metric in (MODES_COVERED, CLASS_KL):
        assert ("class_shares" in metric.compute(inputs).details) == listed
    assert MODES_COVERED.compute(inputs).details["classes"] == k
    assert CLASS_KL.compute(inputs).details["absent_from_reference"] == 0


def test_what_has_no_classes_has_no_value():
    for metric in (MODES_COVERED, CLASS_KL, MEAN_CONFIDENCE):
        with pytest.raises(UndefinedMetric, match="the extractor is no classifier"):
            metric.compute(inputs_of(None, kept=3, shares=None))
    for metric in (MODES_COVERED, CLASS_KL):
        with pytest.raises(UndefinedMetric, match="the reference holds no class shares"):
            metric.compute(inputs_of(np.full((3, 2), 0.5), kept=3, shares=None))
    nan = np.full((3, 2), np.nan)
    with pytest.raises(UndefinedMetric, match="NaN"):
        MEAN_CONFIDENCE.compute(inputs_of(nan, kept=3, shares=None))
