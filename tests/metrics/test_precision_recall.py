"""Precision, recall and realism against torch-fidelity, and by hand."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_prc import calculate_precision_recall_full

from bench.metrics.base import MetricInputs, UndefinedMetric
from bench.metrics.precision_recall import PRECISION, RECALL, precision, realism, recall
from bench.statistics.moments import Moments
from bench.statistics.neighbours.search import neighbour_pass


def column(*values):
    return np.array(values, np.float32)[:, None]


def mixture(n, d, seed):
    """Ten correlated clusters."""
    fixed, rng = np.random.default_rng(0), np.random.default_rng(seed)
    centres, mix = fixed.normal(size=(10, d)), fixed.normal(size=(min(d, 32), d)) / 6
    return (
        centres[rng.integers(0, 10, n)]
        + rng.normal(size=(n, len(mix))) @ mix
        + 0.1 * rng.normal(size=(n, d))
    ).astype(np.float32)


@pytest.mark.parametrize(
    ("n", "m", "d"), [(500, 500, 2), (400, 700, 16), (1000, 300, 128), (250, 250, 2048)]
)
def test_equals_torch_fidelity(n, m, d):
    """Within 2 samples: torch-fidelity compares rounded float32 distances at the surface."""
    real, fake = mixture(n, d, 1), mixture(m, d, 2) * np.float32(1.02)
    peer_p, peer_r = calculate_precision_recall_full(
        torch.from_numpy(fake), torch.from_numpy(real), neighborhood=3
    )
    found = neighbour_pass(real, fake)
    assert 0 < precision(found) < 1
    assert abs(precision(found) - peer_p) * m <= 2.001
    assert abs(recall(found) - peer_r) * n <= 2.001


def test_copies_of_the_reals_are_perfect():
    real = mixture(100, 8, 1)
    found = neighbour_pass(real, real)
    assert precision(found) == recall(found) == 1


def test_a_single_repeated_copy():
    # prdc's `<` gives precision 1 here too (other balls hold the copy), recall 0: the fake balls
    # have radius 0 and hold, with `<=`, just the image that was copied.
    real = column(0, 1, 2, 3, 10)
    found = neighbour_pass(real, column(2, 2, 2, 2))
    assert precision(found) == 1
    assert recall(found) == 1 / 5


def test_the_surface_belongs_to_the_ball():
    # reals 0, 1, 2, 3: radii 3, 2, 2, 3, so 6 lies on the surface of the ball of 3, 6.001 outside
    real = column(0, 1, 2, 3)
    assert precision(neighbour_pass(real, column(6, 6.001, 9, 9))) == 1 / 4


def test_realism_reads_the_pass():
    found = neighbour_pass(column(0, 1, 2, 3), column(6))
    # radii 3, 2, 2, 3 and median 2.5: the balls of 1 and 2 stay, max(2/5, 2/4)
    np.testing.assert_array_equal(realism(found), np.float32([0.5]))


def test_too_few_images_are_undefined():
    few, enough = column(0, 1, 2), column(0, 1, 2, 3)
    with pytest.raises(UndefinedMetric, match="precision_k3 needs more than 3 real images, got 3"):
        precision(neighbour_pass(few, enough))
    with pytest.raises(UndefinedMetric, match="realism needs more than 3 real images, got 3"):
        realism(neighbour_pass(few, enough))
    with pytest.raises(UndefinedMetric, match="recall_k3 needs more than 3 fake images, got 3"):
        recall(neighbour_pass(enough, few))


def test_rows_of_the_table():
    real = column(0, 1, 2, 3)
    inputs = MetricInputs(
        fake_features=column(6, 7, 8, 9),
        fake_probabilities=None,
        real_features=real,
        real_moments=Moments.of(real),
    )
    assert PRECISION.compute(inputs).value == 1 / 4
    # fakes 6, 7, 8, 9: radii 3, 2, 2, 3: the ball of 6 holds 3
    assert RECALL.compute(inputs).value == 1 / 4
    assert (PRECISION.name, RECALL.name) == ("precision_k3", "recall_k3")
