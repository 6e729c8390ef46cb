"""PRD curve against the authors' program: its formula transcribed, its clustering rerun."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.cluster
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import InputError
from bench.metrics.prd import PRDCurve, max_f_beta, prd_curve
from bench.metrics.prd_clustering import prd_clusters


def reference_curve(eval_dist, ref_dist, num_angles=1001, epsilon=1e-10):
    """`compute_prd` of msmsajjadi/precision-recall-distributions, prd_score.py."""
    slopes = np.tan(np.linspace(epsilon, np.pi / 2 - epsilon, num=num_angles))
    precision = np.array([np.minimum(ref_dist * s, eval_dist).sum() for s in slopes])
    recall = precision / slopes
    return np.clip(precision, 0, 1), np.clip(recall, 0, 1)


def reference_f_beta(precision, recall, beta):
    return max(
        (1 + beta**2) * p * r / (beta**2 * p + r + 1e-10)
        for p, r in zip(precision, recall, strict=True)
    )


def mixture(rng, n, weights, d=8):
    centres = np.random.default_rng(0).standard_normal((len(weights), d)) * 3
    which = rng.choice(len(weights), n, p=weights)
    return (centres[which] + rng.standard_normal((n, d))).astype(np.float32)


def test_half_of_the_modes():
    curve = prd_curve(np.array([0.5, 0.5]), np.array([1.0, 0.0]), 11)
    assert curve.precision[5] == pytest.approx(0.5)  # l = 1: min(.5, 1) + min(.5, 0)
    assert curve.recall[5] == pytest.approx(0.5)
    assert curve.precision[-1] == pytest.approx(1)
    assert curve.recall[0] == pytest.approx(0.5)
    # all images are real ones, half of the modes are there
    full = prd_curve(np.array([0.5, 0.5]), np.array([1.0, 0.0]))
    assert max_f_beta(full, 1 / 8) > 0.97
    assert max_f_beta(full, 8) < 0.51


def test_disjoint_and_equal():
    disjoint = prd_curve(np.array([0.5, 0.5, 0]), np.array([0.0, 0, 1]))
    assert disjoint.precision.max() == disjoint.recall.max() == 0
    assert max_f_beta(disjoint, 8) == 0
    p = np.array([0.2, 0.3, 0.5])
    equal = prd_curve(p, p)
    assert max_f_beta(equal, 8) == pytest.approx(1, abs=1e-12)
    assert max_f_beta(equal, 1 / 8) == pytest.approx(1, abs=1e-12)
    assert np.maximum(equal.precision, equal.recall) == pytest.approx(1, abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20).filter(
        lambda rows: all(sum(side) for side in zip(*rows, strict=True))
    )
)
def test_curve_equals_the_reference_program(counts):
    p, q = (np.array(side) / sum(side) for side in zip(*counts, strict=True))
    curve = prd_curve(p, q)
    precision, recall = reference_curve(q, p)
    np.testing.assert_allclose(curve.precision, precision, atol=1e-12)
    np.testing.assert_allclose(curve.recall, recall, atol=1e-12)
    for beta in (8, 1 / 8):
        got = max_f_beta(curve, beta)
        assert got == pytest.approx(reference_f_beta(precision, recall, beta), abs=1e-8)
    swapped = prd_curve(q, p)  # swapping the sides swaps precision and recall
    assert max_f_beta(swapped, 8) == pytest.approx(max_f_beta(curve, 1 / 8), abs=1e-9)


def test_clusterings_agree_with_the_reference_program():
    # 10 modes, three of which the fake side has too few of
    rng = np.random.default_rng(1)
    n = 1500
    weights = np.array([1, 1, 1, 1, 1, 1, 1, 0.1, 0.2, 0])
    real, fake = mixture(rng, n, np.full(10, 0.1)), mixture(rng, n, weights / weights.sum())
    curves = []
    for seed in range(10):
        kmeans = sklearn.cluster.MiniBatchKMeans(20, n_init=10, random_state=seed)
        labels = kmeans.fit(np.concatenate([fake, real])).labels_
        shares = [np.bincount(part, minlength=20) / n for part in (labels[:n], labels[n:])]
        curves.append(reference_curve(*shares))
    precision, recall = np.mean(curves, axis=0)
    ours = [prd_clusters(real, fake, seed).curve for seed in range(3)]
    for beta in (8, 1 / 8):
        expected = reference_f_beta(precision, recall, beta)
        got = [max_f_beta(curve, beta) for curve in ours]
        assert got == pytest.approx([expected] * 3, abs=0.01)


def test_sides_are_balanced_and_seeded():
    rng = np.random.default_rng(2)
    real, fake = mixture(rng, 900, np.full(4, 0.25)), mixture(rng, 200, np.full(4, 0.25))
    first, again, other = (prd_clusters(real, fake, seed).curve for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.precision, again.precision)
    assert not np.array_equal(first.precision, other.precision)
    assert max_f_beta(first, 8) > 0.9


def test_equal_sets_score_one():
    f = mixture(np.random.default_rng(0), 60, np.full(3, 1 / 3))
    curve = prd_clusters(f, f, 0).curve
    assert max_f_beta(curve, 8) == pytest.approx(1, abs=1e-9)


def test_all_rows_equal():
    curve = prd_clusters(np.ones((30, 4)), np.ones((30, 4)), 0).curve
    assert max_f_beta(curve, 1 / 8) == pytest.approx(1, abs=1e-9)
    apart = prd_clusters(np.ones((30, 4)), np.zeros((30, 4)), 0).curve
    assert max_f_beta(apart, 8) == 0


def test_thinned_curve_keeps_its_ends():
    curve = PRDCurve(np.arange(1001.0), np.arange(1001.0) * 2).thinned(21)
    assert curve.precision.tolist() == [50.0 * i for i in range(21)]
    assert curve.recall[-1] == 2000


def test_refused():
    with pytest.raises(InputError, match="2 and over 3 cells"):
        prd_curve(np.ones(2) / 2, np.ones(3) / 3)
    with pytest.raises(InputError, match="4 and 3 dimensions"):
        prd_clusters(np.ones((30, 4)), np.ones((30, 3)), 0)
    with pytest.raises(InputError, match="NaN"):
        prd_clusters(np.full((30, 4), np.nan), np.ones((30, 4)), 0)
