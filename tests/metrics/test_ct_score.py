"""C_T against SciPy's Mann-Whitney test in each cell, its error against resampling."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm

from bench.metrics.base import MetricInputs, UndefinedMetric
from bench.metrics.ct_cells import CELLS, Cells
from bench.metrics.ct_score import CT_SCORE, ct_score
from bench.statistics.moments import Moments
from bench.statistics.neighbours.search import nearest_neighbours


def normal(n, d, seed):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def clustered(n, seed):
    """Three clouds with shares 5, 3 and 2 of 10."""
    rng = np.random.default_rng(seed)
    which = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    return (np.array([[0, 0, 0], [12, 0, 0], [0, 12, 0]])[which] + rng.normal(size=(n, 3))).astype(
        np.float32
    )


def inputs(real, fake, held_out, **more):
    return MetricInputs(
        fake_features=fake,
        fake_probabilities=None,
        real_features=real,
        real_moments=Moments.of(real),
        held_out_features=held_out,
        **more,
    )


def test_equals_scipy_in_each_cell():
    rng = np.random.default_rng(5)
    fake, held_out = rng.gamma(2, 1, 400), rng.gamma(2, 1.2, 300)
    fake_cells, held_out_cells = rng.choice(3, 400, p=[0.6, 0.3, 0.1]), rng.choice(3, 300)
    found = ct_score(fake, fake_cells, held_out, held_out_cells)
    weights, z = [], []
    for k in range(3):
        x, y = fake[fake_cells == k], held_out[held_out_cells == k]
        u = mannwhitneyu(x, y, method="asymptotic", use_continuity=False)
        m, n = len(x), len(y)
        z.append((u.statistic - m * n / 2) / math.sqrt(m * n * (m + n + 1) / 12))
        assert 2 * norm.sf(abs(z[-1])) == pytest.approx(u.pvalue)
        weights.append(n)
    assert found.z == pytest.approx(z)
    assert found.value == pytest.approx(np.average(z, weights=weights))


@settings(deadline=None)
@given(
    x=st.lists(st.integers(0, 5), min_size=20, max_size=40).map(np.array),
    y=st.lists(st.integers(0, 5), min_size=20, max_size=40).map(np.array),
)
def test_ties_count_half_as_in_scipy(x, y):
    zeros = [np.zeros(len(side), np.int64) for side in (x, y)]
    m, n = len(x), len(y)
    u = mannwhitneyu(x, y, use_continuity=False).statistic
    wanted = (u - m * n / 2) / math.sqrt(m * n * (m + n + 1) / 12)
    found = ct_score(x, zeros[0], y, zeros[1])
    assert found.value == pytest.approx(wanted, abs=1e-9)
    assert math.isfinite(found.standard_error)


def test_cells_with_too_few_images_are_left_out():
    x, y = np.arange(60.0), np.arange(60.0) + 0.5
    cells = np.repeat([0, 1, 2], [30, 19, 11])
    found = ct_score(x, cells, y, cells)
    alone = ct_score(x[:30], cells[:30], y[:30], cells[:30])
    assert found.value == alone.value
    assert np.isnan(found.z).tolist() == [False, True, True]
    with pytest.raises(UndefinedMetric, match=r"cell with 20 images .* got \[0, 19, 11\]"):
        ct_score(x[30:], cells[30:], y, cells)


def test_error_equals_a_bootstrap():
    """Cells and held-out distances fixed, images of the folder drawn again, cell counts and all."""
    rng = np.random.default_rng(0)
    cells, held_out_cells = rng.choice(3, 900, p=[0.6, 0.3, 0.1]), rng.choice(3, 600)
    fake = rng.gamma(2, 0.6 + 0.2 * cells)  # closer in cell 0: Z depends on the counts
    held_out = rng.gamma(2, 1, 600)
    found = ct_score(fake, cells, held_out, held_out_cells)
    drawn = []
    for _ in range(1500):
        rows = rng.integers(900, size=900)
        drawn.append(ct_score(fake[rows], cells[rows], held_out, held_out_cells).value)
    # the standard deviation of 1,500 resamples is itself known to 1.8 %
    assert found.standard_error == pytest.approx(np.std(drawn), rel=0.08)


def test_coverage_of_the_interval():
    """Against one fixed reference, 95 % of the intervals of fresh folders hold the mean value."""
    rng = np.random.default_rng(7)
    held_out, held_out_cells = rng.gamma(2, 1, 800), rng.choice(3, 800)
    found = []
    for _ in range(600):
        cells = rng.choice(3, 400)
        found.append(ct_score(rng.gamma(2, 0.8, 400), cells, held_out, held_out_cells))
    truth = np.mean([each.value for each in found])
    held = [abs(each.value - truth) <= 1.96 * each.standard_error for each in found]
    assert 0.92 <= np.mean(held) <= 0.98  # 3 standard errors of a share of 600


def test_cells_are_the_clusters_and_always_the_same():
    train = clustered(500, 0)
    cells = Cells(train)
    labels = cells.of(train)
    assert sorted(np.bincount(labels) / 500) == pytest.approx([0.2, 0.3, 0.5], abs=0.06)
    centre = np.array([[0, 0, 0], [12, 0, 0], [0, 12, 0]], np.float32)
    assert len(set(cells.of(centre).tolist())) == CELLS
    assert Cells(train.copy()).of(train).tolist() == labels.tolist()
    for same in (train * np.float32(1e12), train * np.float32(1e-12)):
        assert Cells(same).of(same).tolist() == labels.tolist()


def test_one_point_makes_one_cell():
    assert set(Cells(np.ones((30, 2), np.float32)).of(np.ones((5, 2), np.float32))) == {0}


def test_copies_push_it_far_below_zero():
    real, held_out, fresh = clustered(800, 0), clustered(700, 1), clustered(600, 2)
    values = []
    for num in (0, 6, 60, 600):
        folder = np.concatenate([real[:num], fresh[num:]])
        values.append(CT_SCORE.compute(inputs(real, folder, held_out)).value)
    assert values == sorted(values, reverse=True)
    assert abs(values[0]) < 3
    assert values[-1] < -15
    far = CT_SCORE.compute(inputs(real, fresh + np.float32(5), held_out)).value
    assert far > 15


def test_stored_neighbours_give_the_same_value():
    real, held_out, fake = normal(100, 4, 1), normal(80, 4, 2), normal(90, 4, 3)
    stored = nearest_neighbours(held_out, real, 5)
    computed = CT_SCORE.compute(inputs(real, fake, held_out))
    assert CT_SCORE.compute(inputs(real, fake, held_out, held_out_nearest=stored)) == computed
    interval = CT_SCORE.uncertainty(inputs(real, fake, held_out), computed)
    assert interval.high - interval.low == pytest.approx(
        2 * 1.959964 * computed.details["standard_error"]
    )


def test_undefined():
    real, fake = normal(50, 2, 1), normal(50, 2, 2)
    with pytest.raises(UndefinedMetric, match="no held-out images"):
        CT_SCORE.compute(inputs(real, fake, None))
    with pytest.raises(UndefinedMetric, match="needs a cell with 20 images"):
        CT_SCORE.compute(inputs(real, fake[:5], fake))
