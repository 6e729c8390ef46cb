"""Fréchet distance against closed forms, torch-fidelity 0.4 and brute force in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from bench.errors import InputError
from bench.metrics.base import UndefinedMetric
from bench.metrics.fid import FID
from bench.metrics.fid_infinity import (
    FID_INFINITY,
    fid_infinity,
    line_in_reciprocal,
    subset_moments,
    subset_sizes,
)
from bench.metrics.frechet import (
    FrechetDistance,
    frechet_distance,
    frechet_distance_to_features,
)
from bench.statistics.moments import Moments


def gaussian(mean: NDArray[np.float64], cov: NDArray[np.float64], n: int = 10**6) -> Moments:
    """Moments of a sample that has exactly this mean and covariance."""
    return Moments(n, np.asarray(mean, float), np.asarray(cov, float) * (n - 1))


def features(rng: np.random.Generator, n: int, d: int, decay: float = 0.8) -> NDArray[np.float32]:
    """Correlated features with a power-law spectrum, as image features have."""
    basis = np.linalg.qr(rng.standard_normal((d, d)))[0]
    spectrum = np.arange(1, d + 1) ** -decay
    return ((rng.standard_normal((n, d)) * spectrum) @ basis + rng.random(d)).astype(np.float32)


def low_rank_form(f1: NDArray[np.floating], f2: NDArray[np.floating]) -> FrechetDistance:
    """The distance with the trace term as the nuclear norm of A B^T / sqrt((n1-1)(n2-1)) for the
    centred features A and B. Singular values have an absolute error of 1e-16 where square roots of
    eigenvalues have 1e-8: the most accurate form.
    """
    (a, mean1), (b, mean2) = [
        (f.astype(float) - f.mean(axis=0, dtype=float), f.mean(axis=0, dtype=float))
        for f in (f1, f2)
    ]
    n1, n2 = len(a), len(b)
    nuclear_norm = np.linalg.svd(a @ b.T, compute_uv=False).sum() / math.sqrt((n1 - 1) * (n2 - 1))
    traces = (a**2).sum() / (n1 - 1) + (b**2).sum() / (n2 - 1)
    mean_term = float(((mean1 - mean2) ** 2).sum())
    value = max(mean_term + traces - 2 * nuclear_norm, 0.0)
    return FrechetDistance(value, mean_term, float(nuclear_norm), 0.0)


def torch_fidelity_fid(f1: NDArray[np.floating], f2: NDArray[np.floating]) -> float:
    stats = [fid_features_to_statistics(torch.from_numpy(f.astype(np.float64))) for f in (f1, f2)]
    return fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]


@pytest.fixture(autouse=True)
def _one_thread():
    """Small eigenproblems crawl on several threads when other jobs share the cores."""
    with threadpool_limits(1):
        yield


# ----------------------------------------------------------------------------- known values


def test_mean_zero_against_one_with_identity_covariance():
    d = 2048  # |0 - 1|^2 summed over 2048 dimensions; the covariance term is 0
    got = frechet_distance(gaussian(np.zeros(d), np.eye(d)), gaussian(np.ones(d), np.eye(d)))
    assert got.value == pytest.approx(2048, rel=1e-12)
    assert got.mean_term == 2048
    assert got.covariance_term == pytest.approx(0, abs=1e-9)
    assert got.clamped == 0


def test_hundred_ones_and_nines():
    # The second column resp. the first is constant, and only one column varies in each:
    # variance 1/4 * 100/99 of a half-half split between 1 and 2, and 49 * 100/99 / 4 of 9 and 2.
    ones, nines = np.ones((100, 2)), np.full((100, 2), 9.0)
    ones[:50, 0] = 2
    nines[50:, 0] = 2
    # mean (1.5, 1) and (5.5, 9): 16 + 64; (7/2 - 1/2)^2 * 100/99 = 9.0909: 89.0909
    expected = 80 + 900 / 99
    m1, m2 = Moments.of(ones), Moments.of(nines)
    assert expected == pytest.approx(89.091, abs=1e-4)
    assert frechet_distance(m1, m2).value == pytest.approx(expected, rel=1e-12)
    assert low_rank_form(ones, nines).value == pytest.approx(expected, rel=1e-12)


def test_commuting_covariances():
    # diagonal S1, S2: sum of (sqrt(a) - sqrt(b))^2 = (1-2)^2 + (3-1)^2 + (0-2)^2
    got = frechet_distance(
        gaussian(np.zeros(3), np.diag([1.0, 9, 0])), gaussian(np.zeros(3), np.diag([4.0, 1, 4]))
    )
    assert got.value == pytest.approx(9, rel=1e-12)


def test_covariances_that_do_not_commute():
    # 2x2: (tr sqrt(S1 S2))^2 = tr(S1 S2) + 2 sqrt(det S1 det S2)
    #      S1 = [[2,1],[1,2]], S2 = [[3,0],[0,1]]: tr = 6 + 2 = 8, dets 3 and 3: 8 + 6 = 14
    got = frechet_distance(
        gaussian(np.zeros(2), np.array([[2.0, 1], [1, 2]])),
        gaussian(np.array([3.0, 4]), np.diag([3.0, 1])),
    )
    assert got.trace_term == pytest.approx(math.sqrt(14), rel=1e-14)
    assert got.value == pytest.approx(25 + 4 + 4 - 2 * math.sqrt(14), rel=1e-14)


@pytest.mark.parametrize(("d", "n"), [(8, 400), (16, 1000)])
def test_sampling_bias(d, n):
    # two samples of N(0, I_d), both of size n: about 2d/n + d(d+1)/(2n) (protocols)
    rng = np.random.default_rng(3)
    values = [
        frechet_distance(*(Moments.of(rng.standard_normal((n, d))) for _ in range(2))).value
        for _ in range(60)
    ]
    expected = 2 * d / n + d * (d + 1) / (2 * n)
    standard_error = np.std(values) / math.sqrt(len(values))
    assert np.mean(values) == pytest.approx(expected, abs=4 * standard_error + 0.03 * expected)


# ---------------------------------------------------------------------- independent programs


@pytest.mark.parametrize(("n1", "n2", "d"), [(3000, 2000, 64), (900, 1500, 192)])
def test_agrees_with_torch_fidelity(n1, n2, d):
    rng = np.random.default_rng(0)
    f1, f2 = features(rng, n1, d), features(rng, n2, d) * np.float32(1.1)
    expected = torch_fidelity_fid(f1, f2)
    m1, m2 = Moments.of(f1), Moments.of(f2)
    assert frechet_distance(m1, m2).value == pytest.approx(expected, rel=1e-9)
    assert low_rank_form(f1, f2).value == pytest.approx(expected, rel=1e-9)


def test_agrees_with_torch_fidelity_when_images_are_fewer_than_features():
    # torch-fidelity adds the square roots of D - N noise eigenvalues: it is the one that is off
    rng = np.random.default_rng(1)
    f1, f2 = features(rng, 2000, 256), features(rng, 60, 256)
    expected = torch_fidelity_fid(f1, f2)
    assert frechet_distance_to_features(Moments.of(f1), f2).value == pytest.approx(
        expected, rel=1e-6
    )


def test_agrees_with_the_matrix_square_root():
    rng = np.random.default_rng(2)
    f1, f2 = features(rng, 500, 12), features(rng, 300, 12)
    S1, S2 = np.cov(f1, rowvar=False, dtype=np.float64), np.cov(f2, rowvar=False, dtype=np.float64)
    root = scipy.linalg.sqrtm(S1)
    trace_term = np.trace(scipy.linalg.sqrtm(root @ S2 @ root).real)
    got = frechet_distance(Moments.of(f1), Moments.of(f2))
    assert got.trace_term == pytest.approx(trace_term, rel=1e-10)


# ------------------------------------------------------------------------------- the three forms


@pytest.mark.parametrize(
    ("n1", "n2", "d"), [(200, 150, 20), (200, 15, 20), (15, 200, 20), (12, 9, 20), (21, 20, 20)]
)
def test_forms_agree(n1, n2, d):
    rng = np.random.default_rng(n1 + n2)
    f1, f2 = features(rng, n1, d), features(rng, n2, d)
    m1, m2 = Moments.of(f1), Moments.of(f2)
    exact = low_rank_form(f1, f2)
    forms = (
        frechet_distance(m1, m2),
        frechet_distance(m2, m1),
        frechet_distance_to_features(m1, f2),
        frechet_distance_to_features(m2, f1),
    )
    for got in forms:
        assert got.value == pytest.approx(exact.value, rel=1e-9)
        assert got.mean_term == pytest.approx(exact.mean_term, rel=1e-12)
        assert got.trace_term == pytest.approx(exact.trace_term, rel=1e-9)


def test_dead_features_do_not_add_noise():
    # 100 constant columns, as dead units give: S1 and S2 are singular although N > D
    rng = np.random.default_rng(5)
    f1, f2 = features(rng, 400, 20), features(rng, 300, 20)
    dead = [np.concatenate([f, np.full((len(f), 100), 3, f.dtype)], axis=1) for f in (f1, f2)]
    expected = frechet_distance(Moments.of(f1), Moments.of(f2)).value
    assert frechet_distance(*map(Moments.of, dead)).value == pytest.approx(expected, rel=1e-9)


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(2, 9), st.integers(1, 6)),
        elements=st.floats(-100, 100, width=32),
    ),
    st.integers(0, 2**32 - 1),
)
def test_properties_of_a_distance(f, seed):
    rng = np.random.default_rng(seed)
    other = (rng.standard_normal((7, f.shape[1])) * rng.choice([0, 1e-3, 50])).astype(np.float32)
    m1, m2 = Moments.of(f), Moments.of(other)
    scale = float(np.abs(f).max() + np.abs(other).max()) ** 2 * f.shape[1] * 1e-6 + 1e-9
    distance = frechet_distance(m1, m2).value
    assert distance >= 0
    assert frechet_distance(m2, m1).value == pytest.approx(distance, abs=scale)
    assert frechet_distance(m1, m1).value == pytest.approx(0, abs=scale)
    assert low_rank_form(f, other).value == pytest.approx(distance, abs=scale)
    assert frechet_distance_to_features(m1, other).value == pytest.approx(distance, abs=scale)


# ------------------------------------------------------------------------------------- errors


def test_one_image_is_undefined():
    rng = np.random.default_rng(0)
    many, one = rng.standard_normal((5, 3)), rng.standard_normal((1, 3))
    with pytest.raises(UndefinedMetric, match="at least 2 images, got 5 and 1"):
        frechet_distance(Moments.of(many), Moments.of(one))
    with pytest.raises(UndefinedMetric, match="at least 2 images"):
        frechet_distance_to_features(Moments.of(many), one)


def test_moments_of_no_sample_are_refused():
    bad = gaussian(np.zeros(2), np.diag([1.0, -0.5]))
    with pytest.raises(UndefinedMetric, match="not those of a sample"):
        frechet_distance(gaussian(np.zeros(2), np.eye(2)), bad)


def test_overflow_is_undefined():
    rng = np.random.default_rng(0)
    huge, one = rng.standard_normal((9, 3)) * 1e160, rng.standard_normal((9, 3))
    with np.errstate(over="ignore"), pytest.raises(UndefinedMetric, match="overflow"):
        frechet_distance_to_features(Moments.of(one), huge)


def test_different_dimensions_are_refused():
    with pytest.raises(InputError, match="of 3 and of 2 dimensions"):
        frechet_distance(Moments.of(np.ones((4, 3))), Moments.of(np.ones((4, 2))))


# ------------------------------------------------------------------------------- fid_infinity


def test_sizes():
    assert subset_sizes(10_000)[:2] == [1000, 1642]  # step 9000/14
    assert subset_sizes(60_000)[0] == 5000
    assert subset_sizes(30) == sorted(set(subset_sizes(30)))
    for n in (30, 777, 49_999, 50_000):
        assert len(subset_sizes(n)) == 15
        assert subset_sizes(n)[-1] == n


def test_line_through_exact_points():
    sizes = [10, 20, 40, 80]
    fit = line_in_reciprocal(sizes, [3 + 50 / n for n in sizes])
    assert fit.intercept == pytest.approx(3, rel=1e-12)
    assert fit.slope == pytest.approx(50, rel=1e-12)
    assert fit.residual_sd == pytest.approx(0, abs=1e-12)
    # against NumPy on points off the line
    values = [1.0, 5, 2, 2.5]
    slope, intercept = np.polyfit(1 / np.array(sizes), values, 1)
    fit = line_in_reciprocal(sizes, values)
    assert (fit.slope, fit.intercept) == pytest.approx((slope, intercept), rel=1e-10)


def test_subset_moments_are_those_of_the_drawn_rows():
    rng = np.random.default_rng(0)
    f = features(rng, 50, 4) + np.float32(100)  # a mean far from 0 must not cost digits
    for size in (2, 20, 25, 26, 49, 50):
        (got,) = subset_moments(f, [size], seed=9)
        want = Moments.of(f[np.random.default_rng(9).permutation(50)[:size]])
        assert got.n == want.n == size
        np.testing.assert_allclose(got.mean, want.mean, rtol=1e-12)
        np.testing.assert_allclose(got.m2, want.m2, atol=1e-9)


def test_subset_without_the_one_odd_row():
    # the whole varies, the subset does not: its variance is 0, not what cancellation leaves
    f = np.full((50, 2), 0.1, np.float32)
    f[7] = 1000
    (got,) = subset_moments(f, [49], seed=next(s for s in range(999) if _last(s) == 7))
    assert got.m2.tolist() == [[0, 0], [0, 0]]


def _last(seed: int) -> int:
    return int(np.random.default_rng(seed).permutation(50)[-1])


def test_extrapolation_removes_the_bias():
    # both N(0, I_32), the real side exact: FID_n is about d/n + d(d+1)/(4n) > 0, FID_inf 0
    d, n = 32, 2000
    real = gaussian(np.zeros(d), np.eye(d))
    values, plain = [], []
    for seed in range(8):
        f = np.random.default_rng(seed).standard_normal((n, d))
        line, sizes, points = fid_infinity(real, f, seed)
        values.append(line.intercept)
        plain.append(points[-1])
        assert sizes[-1] == n
        assert points[-1] == pytest.approx(frechet_distance(real, Moments.of(f)).value, rel=1e-9)
    assert np.mean(plain) > 0.1
    assert abs(np.mean(values)) < 0.1 * np.mean(plain)


def test_extrapolation_is_seeded():
    f = features(np.random.default_rng(0), 100, 5)
    real = Moments.of(features(np.random.default_rng(1), 200, 5))
    assert fid_infinity(real, f, 1) == fid_infinity(real, f, 1)
    assert fid_infinity(real, f, 1) != fid_infinity(real, f, 2)


def test_extrapolation_needs_thirty_images():
    f = np.random.default_rng(0).standard_normal((29, 3))
    with pytest.raises(UndefinedMetric, match="at least 30 images"):
        fid_infinity(Moments.of(f), f, 0)


def test_rows_say_what_they_read():
    assert FID.reads == {"moments"}
    assert FID_INFINITY.reads == {"moments"}
