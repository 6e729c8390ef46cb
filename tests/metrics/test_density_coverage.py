"""Density and coverage against prdc 0.2 (the authors' code), the paper's toys and expectations."""

import numpy as np
import pytest
from prdc import compute_prdc

from bench.metrics.base import MetricInputs, Sizes, UndefinedMetric
from bench.metrics.density_coverage import (
    COVERAGE,
    DENSITY,
    coverage,
    density,
    expected_coverage,
)
from bench.statistics.moments import Moments
from bench.statistics.neighbours.search import neighbour_pass


def normal(n, d, seed):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.mark.parametrize(
    ("n", "m", "d", "scale"),
    [(400, 300, 2, 1.0), (300, 500, 16, 0.9), (500, 400, 128, 0.95), (1000, 1000, 1000, 1.0)],
)
def test_equals_prdc(n, m, d, scale):
    """Within 2 counts: prdc compares distances that were rounded in a float64 product."""
    real, fake = normal(n, d, 1), normal(m, d, 2) * np.float32(scale)
    peer = compute_prdc(real, fake, nearest_k=5)
    found = neighbour_pass(real, fake)
    assert abs(density(found) - peer["density"]) * 5 * m <= 2.001
    assert abs(coverage(found) - peer["coverage"]) * n <= 2.001


def test_precision_and_recall_differ_from_prdc_only_at_the_surface():
    real, fake = normal(400, 8, 1), normal(300, 8, 2)
    peer = compute_prdc(real, fake, nearest_k=3)  # without ties `<` and `<=` are the same
    found = neighbour_pass(real, fake)
    assert abs(found.in_real_ball.mean() - peer["precision"]) * 300 <= 2.001
    assert abs(found.in_fake_ball.mean() - peer["recall"]) * 400 <= 2.001


# The toys (a) and (b) of Naeem et al., with k = 3 and 5 in place of their 2 and 1.


def test_one_real_outlier_fools_precision_not_density():
    # Nine reals at 0..8 and one at 100, whose balls reach to 6 and 4 (radius 94 and 96). Five fakes
    # around 100 lie in these alone: the others' radii are at most 5. Density 1/5, precision 1.
    real = np.array([*range(9), 100], np.float32)[:, None]
    fake = np.arange(98, 103, dtype=np.float32)[:, None]
    found = neighbour_pass(real, fake)
    assert found.in_real_ball.all()
    assert density(found) == 1 / 5


def test_one_fake_outlier_fools_recall_not_coverage():
    # Five clusters of six reals, fakes in the first alone, and one fake far away: its ball
    # (radius 10,000 - 5) reaches back over every real but 0..4, and those lie among the fakes.
    real = np.concatenate([np.arange(6) + 100 * i for i in range(5)]).astype(np.float32)[:, None]
    fake = np.array([0.5, 1.5, 2.5, 3.5, 4.5, 10000], np.float32)[:, None]
    found = neighbour_pass(real, fake)
    assert found.in_fake_ball.all()
    assert coverage(found) == 6 / 30


def test_the_surface_does_not_belong_to_the_ball():
    # reals 0..5: radii 5, 4, 3, 3, 4, 5. The fake at 10 lies on the surface of the ball of 5.
    real = np.arange(6, dtype=np.float32)[:, None]
    found = neighbour_pass(real, np.array([[10], [9.5]], np.float32))
    np.testing.assert_array_equal(found.num_real_balls, [0, 1])
    assert density(found) == 0.1
    assert coverage(found) == 1 / 6


def test_copies_of_one_image_cover_little():
    # reals 0, 10, ..., 100: radii 50 40 30 30 30 30 30 30 30 40 50; twenty copies of 0 lie in the
    # balls of 0 (50 > 0), 10 (40 > 10), 20 (30 > 20); 30 is on the surface of the ball of 30.
    real = np.arange(0, 101, 10, dtype=np.float32)[:, None]
    found = neighbour_pass(real, np.zeros((20, 1), np.float32))
    assert coverage(found) == 3 / 11
    assert density(found) == 3 / 5


@pytest.mark.parametrize(
    ("n_real", "n_fake", "value"),
    [(500, 500, 0.969218), (1000, 1000, 0.968984), (10000, 10000, 0.968773), (10000, 2000, 0.598)],
)
def test_expected_coverage(n_real, n_fake, value):
    digits = 6 if n_real == n_fake else 3
    assert round(expected_coverage(n_real, n_fake), digits) == value
    assert COVERAGE.expected is not None
    assert COVERAGE.expected(Sizes(n_real, n_fake)) == expected_coverage(n_real, n_fake)


def test_expectations_are_what_equal_distributions_score():
    """60 pairs of N(0, I_3) samples, 40 reals and 25 fakes; means within 4 standard errors."""
    passes = [neighbour_pass(normal(40, 3, 2 * i), normal(25, 3, 2 * i + 1)) for i in range(60)]
    assert DENSITY.expected is not None
    for values, expected in (
        ([coverage(p) for p in passes], expected_coverage(40, 25)),
        ([density(p) for p in passes], DENSITY.expected(Sizes(40, 25))),
    ):
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        assert abs(np.mean(values) - expected) < 4 * error


def test_too_few_reals_are_undefined():
    found = neighbour_pass(normal(5, 2, 1), normal(9, 2, 2))
    with pytest.raises(UndefinedMetric, match="density_k5 needs more than 5 real images, got 5"):
        density(found)
    with pytest.raises(UndefinedMetric, match="coverage_k5 needs more than 5 real images, got 5"):
        coverage(found)
    with pytest.raises(UndefinedMetric, match="coverage_k5 needs more than 5 real images, got 5"):
        expected_coverage(5, 9)


def test_rows_of_the_table():
    real, fake = normal(50, 3, 1), normal(40, 3, 2)
    inputs = MetricInputs(
        fake_features=fake,
        fake_probabilities=None,
        real_features=real,
        real_moments=Moments.of(real),
    )
    found = neighbour_pass(real, fake)
    assert DENSITY.compute(inputs).value == density(found)
    assert COVERAGE.compute(inputs).value == coverage(found)
    assert (DENSITY.name, COVERAGE.name) == ("density_k5", "coverage_k5")
