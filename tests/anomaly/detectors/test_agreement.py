"""Every detector against an independent program, and where the answer is known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold
from sklearn.neighbors import KernelDensity, NearestNeighbors
from sklearn.svm import OneClassSVM

from bench.anomaly.detectors import DETECTORS, DetectorSettings
from bench.anomaly.detectors.components import Components, contrast_normalised
from bench.anomaly.detectors.kde import BANDWIDTHS, likeliest_bandwidth
from bench.anomaly.detectors.mahalanobis import Mahalanobis
from bench.anomaly.detectors.one_class_svm import ORACLE_GAMMAS, Support
from bench.errors import InputError, UsageError
from bench.extractors import extractor_row
from tests.conftest import RealSample


def made(name, normal, **options):
    one = DETECTORS.find(name).make(DetectorSettings(options=options))
    one.fit(normal)
    return one


def flat(images, top=255.0):
    return images.reshape(len(images), -1) / top


@pytest.fixture(scope="module")
def threes(mnist: RealSample):
    return mnist.images[mnist.labels == 3][:150]


@pytest.fixture(scope="module")
def others(mnist: RealSample):
    return mnist.images[:80]


@pytest.mark.parametrize("k", [1, 2, 5])
def test_knn(threes, others, k):
    expected = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(flat(threes, 1.0))
    distances, _ = expected.kneighbors(flat(others, 1.0))
    found = made("knn-pixels", threes, k=k).scores(others)
    np.testing.assert_allclose(found, distances[:, -1], rtol=1e-6)
    features = extractor_row("digits").resolve().load()
    expected.fit(features(threes).values)
    distances, _ = expected.kneighbors(features(others).values)
    found = made("knn-features", threes, k=k).scores(others)
    # an image of the normal set is 0 away: its features to the rounding of their batch
    np.testing.assert_allclose(found, distances[:, -1], rtol=1e-4, atol=1e-5)


def test_knn_by_hand():
    """One pixel: normal at 10, 20, 50; 22 is 2, 12, 28 away."""
    normal = np.array([10, 20, 50], np.uint8).reshape(3, 1, 1, 1)
    query = np.array([[[[22]]]], np.uint8)
    assert [made("knn-pixels", normal, k=k).scores(query)[0] for k in (1, 2, 3)] == [2, 12, 28]
    with pytest.raises(UsageError, match="knn-pixels needs 5 or more normal images, got 3"):
        made("knn-pixels", normal)


def test_mahalanobis(threes, others):
    shrunk = LedoitWolf().fit(threes.reshape(150, -1).astype(np.float64))
    one = Mahalanobis("test")
    one.fit(threes.reshape(150, -1).astype(np.float32))
    assert one.whitening.shrinkage == pytest.approx(shrunk.shrinkage_, rel=1e-9)
    found = made("mahalanobis-pixels", threes).scores(others)
    expected = shrunk.mahalanobis(others.reshape(80, -1).astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_mahalanobis_ranks_a_gaussian_by_its_radius(seed):
    """20,000 draws of N(m, A A^T): the score is |z|^2 as the covariance becomes known."""
    rng = np.random.default_rng(seed)
    factor = np.diag([0.5, 1, 1.5, 2]) @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    z = rng.normal(size=(20_000, 4))
    one = Mahalanobis("test")
    one.fit((z @ factor + 3).astype(np.float32))
    direction = rng.normal(size=(6, 4))
    query = direction / np.linalg.norm(direction, axis=1, keepdims=True) * np.arange(1, 7)[:, None]
    found = one.scores((query @ factor + 3).astype(np.float32))
    assert (np.diff(found) > 0).all()
    np.testing.assert_allclose(found, np.arange(1, 7) ** 2, rtol=0.1)


def test_mahalanobis_of_a_constant_pixel():
    """A pixel that never varied counts, by the shrinkage, and finitely."""
    rng = np.random.default_rng(0)
    normal = np.concatenate([rng.normal(size=(50, 2)), np.ones((50, 1))], axis=1)
    one = Mahalanobis("test")
    one.fit(normal.astype(np.float32))
    usual, odd = one.scores(np.array([[0, 0, 1], [0, 0, 2]], np.float32))
    assert np.isfinite(odd)
    assert odd > usual
    with pytest.raises(InputError, match="the 3 normal images are all equal"):
        one.fit(np.ones((3, 3), np.float32))


@pytest.mark.parametrize("variance", [0.5, 0.95, 1.0])
def test_pca(threes, others, variance):
    kept = 149 if variance == 1 else variance  # 150 centred rows have rank 149
    pca = PCA(n_components=kept, svd_solver="full").fit(flat(threes))
    back = pca.inverse_transform(pca.transform(flat(others)))
    one = made("pca", threes, variance=variance)
    expected = np.square(flat(others) - back).mean(axis=1)
    np.testing.assert_allclose(one.scores(others), expected, rtol=1e-5, atol=1e-12)
    levels = np.floor(255 * back + 0.5).clip(0, 255)
    differing = one.reconstructions(others).reshape(80, -1) != levels
    assert differing.mean() < 1e-4  # a half that rounding moves


def test_a_linear_autoencoder_scores_as_pca():
    """Encoder and decoder of 5 codes by alternating least squares from random weights: no
    eigenvector is computed. Baldi and Hornik 1989: its one minimum is the principal subspace.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5)) @ rng.normal(size=(5, 30)) + 0.2 * rng.normal(size=(200, 30))
    y = rng.normal(size=(50, 30))
    mean, decoder = x.mean(axis=0), rng.normal(size=(5, 30))
    for _ in range(60):
        codes = (x - mean) @ np.linalg.pinv(decoder)
        decoder = np.linalg.lstsq(codes, x - mean, rcond=None)[0]
    errors = y - mean - (y - mean) @ np.linalg.pinv(decoder) @ decoder
    components = Components.of(x, 0.95)
    assert len(components.axes) == 5
    back = components.project(y) @ components.axes + components.mean
    np.testing.assert_allclose(np.square(y - back), np.square(errors), atol=1e-9)


def test_components(threes):
    found = Components.of(flat(threes), 0.9)
    expected = PCA(n_components=0.9, svd_solver="full").fit(flat(threes))
    assert found.axes.shape == expected.components_.shape
    overlap = np.abs((found.axes * expected.components_).sum(axis=1))
    np.testing.assert_allclose(overlap, 1, atol=1e-9)
    assert len(Components.of(np.ones((5, 3)), 0.9).axes) == 0


def test_contrast_by_hand():
    # less the mean 2: -1, 0, 1, of which the sizes sum to 2
    rows = np.array([[1, 2, 3], [7, 7, 7], [0, 0, 3]])
    expected = [[-0.5, 0, 0.5], [0, 0, 0], [-0.25, -0.25, 0.5]]
    np.testing.assert_allclose(contrast_normalised(rows), expected)


def projected(threes, others, *, contrast):
    a, b = (contrast_normalised(flat(x)) if contrast else flat(x) for x in (threes, others))
    low, high = a.min(), a.max()
    a, b = (a - low) / (high - low), (b - low) / (high - low)
    pca = PCA(n_components=0.95, svd_solver="full").fit(a)
    return pca.transform(a), pca.transform(b)


def test_kde(threes, others):
    a, b = projected(threes, others, contrast=False)
    likelihoods = [
        sum(density(a[test], a[train], h).sum() for train, test in KFold(5).split(a))
        for h in BANDWIDTHS
    ]
    chosen = BANDWIDTHS[int(np.argmax(likelihoods))]
    one = made("kde", threes)
    assert one._model.fitted.bandwidth == chosen
    np.testing.assert_allclose(one.scores(others), -density(b, a, chosen), rtol=1e-9)


def density(x, normal, bandwidth):
    """Log density by scipy's own distances and sums."""
    exponents = -0.5 * cdist(x, normal, "sqeuclidean") / bandwidth**2
    constant = 0.5 * normal.shape[1] * np.log(2 * np.pi * bandwidth**2)
    return logsumexp(exponents, axis=1) - np.log(len(normal)) - constant


@pytest.mark.parametrize(("name", "kernel"), [("kde", "gaussian"), ("kde-exponential",) * 2])
@pytest.mark.parametrize("bandwidth", [2.0, 32.0])
def test_kde_is_that_of_scikit_learn(threes, others, name, kernel, bandwidth):
    kernel = kernel.removeprefix("kde-")
    expected = KernelDensity(kernel=kernel, bandwidth=bandwidth).fit(flat(threes))
    found = made(name, threes, bandwidth=bandwidth, variance=1).scores(others)
    np.testing.assert_allclose(found, -expected.score_samples(flat(others)), rtol=1e-9)


def test_the_published_kernel_ranks_by_the_mean_distance(threes, others):
    distances = cdist(flat(others), flat(threes))
    one = made("kde-exponential", threes)
    largest = cdist(flat(threes), flat(threes), "sqeuclidean").max()
    assert one._model.fitted.bandwidth == pytest.approx(largest, rel=1e-9)
    ranks = one.scores(others).argsort().argsort()
    expected = distances.mean(axis=1).argsort().argsort()
    assert np.abs(ranks - expected).max() <= 2  # to first order in distance over bandwidth


def test_kde_of_few_rows():
    assert likeliest_bandwidth(np.array([[0.0], [1.0]])) in BANDWIDTHS
    # left-out rows are 8 away from the only other: the maximum of -32/h^2 - log h is at h = 8
    assert likeliest_bandwidth(np.array([[0.0], [8.0]])) == 8


@pytest.mark.parametrize("contrast", [0, 1])
def test_isolation_forest(threes, others, contrast):
    a, b = projected(threes, others, contrast=bool(contrast))
    found = made("isolation-forest", threes, contrast=contrast).scores(others)
    forest = IsolationForest(n_estimators=100, max_samples=150, random_state=0).fit(a)
    # the sign of an axis is free, and a forest is not the same mirrored: ranks agree
    ours, theirs = found.argsort().argsort(), (-forest.score_samples(b)).argsort().argsort()
    assert np.corrcoef(ours, theirs)[0, 1] > 0.8


def test_isolation_forest_of_all_pixels(threes, others):
    found = made("isolation-forest", threes, contrast=0, variance=1).scores(others)
    forest = IsolationForest(n_estimators=100, max_samples=150, random_state=0)
    low, high = flat(threes).min(), flat(threes).max()
    forest.fit((flat(threes) - low) / (high - low))
    np.testing.assert_allclose(found, -forest.score_samples(flat(others)), rtol=1e-9)


def test_the_forest_sets_a_planted_outlier_apart():
    """Pixels around 128 with a deviation of 5, and one image 60 away in each."""
    normal = np.random.default_rng(0).normal(128, 5, (200, 2, 2, 1)).round().astype(np.uint8)
    planted = np.concatenate([normal[:30], np.full((1, 2, 2, 1), 188, np.uint8)])
    for options in ({"contrast": 0, "variance": 1}, {"contrast": 0}):
        assert made("isolation-forest", normal, **options).scores(planted).argmax() == 30


def test_one_class_svm(threes, others):
    a, b = flat(threes), flat(others)
    squared = np.square(a[:, None] - a[None]).sum(axis=2)
    gamma = 1 / squared.max()
    svm = OneClassSVM(kernel="rbf", nu=0.1, gamma=gamma).fit(a)
    one = made("oc-svm", threes)
    assert one._model.support.gamma == pytest.approx(gamma, rel=1e-9)
    expected = -svm.decision_function(b)
    np.testing.assert_allclose(one.scores(others), expected, atol=1e-3 * np.ptp(expected))
    rows = Support.of(a, None, nu=0.1, gamma=gamma)
    np.testing.assert_allclose(rows.scores(b), expected, atol=1e-9 * np.abs(expected).max())
    scores = made("oc-svm", threes).scores(threes)
    assert 0.05 < (scores > 0).mean() < 0.15  # nu of the normal images lie outside


def test_the_oracle_takes_the_best_gamma(threes, others, mnist: RealSample):
    labels = (mnist.labels[:80] != 3).astype(np.int64)
    oracle = DETECTORS.find("oc-svm-oracle").make(
        DetectorSettings(oracle_images=others, oracle_labels=labels)
    )
    oracle.fit(threes)
    areas = [
        roc_auc_score(labels, made("oc-svm", threes, gamma=gamma).scores(others))
        for gamma in ORACLE_GAMMAS
    ]
    assert oracle._model.support.gamma == ORACLE_GAMMAS[int(np.argmax(areas))]
    assert roc_auc_score(labels, oracle.scores(others)) == pytest.approx(max(areas), abs=1e-9)
    with pytest.raises(UsageError, match="tuned on labelled test images, and none are given"):
        DETECTORS.find("oc-svm-oracle").make(DetectorSettings())
    with pytest.raises(UsageError, match="of both kinds"):
        DETECTORS.find("oc-svm-oracle").make(
            DetectorSettings(oracle_images=others, oracle_labels=np.zeros(80, np.int64))
        )


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("knn-pixels", {"k": 0}, "k 0: expected at least 1"),
        ("knn-pixels", {"k": "2.5"}, "k '2.5': expected a whole number, such as 5"),
        ("knn-pixels", {"k": 2.5}, "k 2.5: expected a whole number"),
        ("pca", {"variance": 0}, "variance 0.0: expected more than 0 and at most 1"),
        ("kde", {"bandwidth": -1}, "bandwidth -1.0: expected more than 1e-06 and at most 1e"),
        ("kde", {"bandwidth": 1e-300}, "bandwidth 1e-300: expected more than 1e-06"),
        ("kde-exponential", {"bandwidth": math.inf}, "bandwidth inf: expected .* at most 1e"),
        ("oc-svm", {"gamma": math.inf}, "gamma inf: expected more than 1e-12 and at most 1e"),
        ("oc-svm", {"gamma": "1e300"}, "gamma 1e.300: expected"),
        ("oc-svm", {"contrast": 7}, "contrast 7: expected 0 or 1"),
        ("isolation-forest", {"trees": 10**9}, "trees 1000000000: expected .* at most 10000"),
        ("isolation-forest", {"trees": math.inf}, "trees inf: expected a whole number"),
        ("knn-pixels", {"k": None}, "k None: expected a whole number"),
        ("knn-pixels", {"k": [3]}, r"k .3.: expected a whole number"),
        ("pca", {"variance": None}, "variance None: expected a number, such as 0.95"),
        ("pca", {"variance": "much"}, "variance 'much': expected a number"),
        ("oc-svm", {"nu": 2}, "nu 2.0: expected more than 0 and at most 1"),
        ("isolation-forest", {"trees": 0}, "trees 0: expected more than 0"),
        ("kde", {"variance": float("nan")}, "variance nan: expected more than 0"),
    ],
)
def test_options_that_make_no_sense(threes, name, options, message):
    with pytest.raises(UsageError, match=message):
        DETECTORS.find(name).make(DetectorSettings(options=options))
