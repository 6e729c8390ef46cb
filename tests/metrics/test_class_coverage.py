"""Class shares, covered modes and their divergence, by hand and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.errors import InputError
from bench.metrics.class_coverage import class_kl, class_shares, modes_covered

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
