"""The variance of recall: its jackknife by brute force, and simulated draws."""

from __future__ import annotations

import numpy as np
import pytest

from bench.metrics.precision_recall import recall
from bench.metrics.recall_variance import EXCESS, recall_changes, recall_variance
from bench.statistics.neighbours.search import nearest_neighbours, neighbour_pass


def draw(seed, n, dim, *, scale=1.0):
    return (scale * np.random.default_rng(seed).standard_normal((n, dim))).astype(np.float32)


@pytest.mark.parametrize("dim", [1, 2, 6])
def test_changes_are_those_of_recall_without_each_fake(dim):
    real, fake = draw(0, 700, dim), draw(1, 25, dim, scale=0.8)
    nearest = nearest_neighbours(fake, fake, 5, exclude_self=True)
    whole = recall(neighbour_pass(real, fake))
    changes = [recall(neighbour_pass(real, np.delete(fake, j, 0))) - whole for j in range(25)]
    assert min(changes) < 0 < max(changes)  # balls are lost, and others grow
    np.testing.assert_allclose(recall_changes(real, fake, nearest), changes, atol=1e-12)
    variance = 24 / 25 * np.sum((changes - np.mean(changes)) ** 2) / EXCESS
    assert recall_variance(real, fake, nearest) == pytest.approx(variance, rel=1e-9)


@pytest.mark.parametrize("tail", [None, 3])
def test_standard_error_is_that_of_draws(tail):
    """With and without outliers, whose balls cover many reals at once."""
    real = draw(0, 300, 8)
    values, variances = [], []
    for seed in range(100):
        rng = np.random.default_rng([seed, 5])
        shape = (200, 8)
        x = rng.standard_normal(shape) if tail is None else rng.standard_t(tail, shape)
        fake = (0.8 * x).astype(np.float32)
        found = neighbour_pass(real, fake)
        values.append(recall(found))
        if seed % 2 == 0:
            variances.append(recall_variance(real, fake, found.fake_nearest))
    # the standard deviation of 100 draws is known to 7 %; with outliers, errors are 1.2 times it
    ratio = np.sqrt(np.mean(variances)) / np.std(values)
    assert 0.8 < ratio < (1.25 if tail is None else 1.45)
