"""Maps and their faithfulness against scikit-learn, SciPy and brute force."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness as sklearn_trustworthiness

from bench.latent.maps import continuity, shepard_correlation, trustworthiness, two_dimensional
from bench.latent.values import Absent


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(150, 5)) * [3, 2, 1, 1, 1]).astype(np.float32)


def test_pca_is_the_first_two_components(codes: np.ndarray) -> None:
    expected = PCA(2).fit_transform(codes)
    found = two_dimensional("pca", codes)
    for column in range(2):
        sign = np.sign((expected[:, column] * found[:, column]).sum())
        np.testing.assert_allclose(found[:, column], sign * expected[:, column], atol=1e-4)


@pytest.mark.parametrize("k", [3, 10])
def test_trustworthiness_against_scikit_learn(codes: np.ndarray, k: int) -> None:
    placed = two_dimensional("pca", codes)
    found = trustworthiness(codes, placed, k)
    assert found == pytest.approx(sklearn_trustworthiness(codes, placed, n_neighbors=k), abs=1e-9)
    assert 0.5 < found < 0.99
    assert continuity(codes, placed, k) == pytest.approx(
        sklearn_trustworthiness(placed, codes, n_neighbors=k), abs=1e-9
    )


def test_a_map_that_keeps_all_distances_is_perfect(codes: np.ndarray) -> None:
    flat = codes[:, :2]
    turned = (flat @ np.array([[0, -2], [2, 0]])).astype(np.float32)
    assert trustworthiness(flat, turned) == 1
    assert continuity(flat, turned) == 1
    assert shepard_correlation(flat, turned) == pytest.approx(1, abs=1e-9)


def test_the_shepard_correlation_is_spearman_of_distances(codes: np.ndarray) -> None:
    placed = two_dimensional("pca", codes)
    expected = spearmanr(pdist(codes), pdist(placed)).statistic
    assert shepard_correlation(codes, placed) == pytest.approx(expected, abs=1e-6)


def test_t_sne_keeps_groups_together() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 50)
    codes = (rng.normal(size=(150, 8)) + 20 * np.eye(3, 8)[groups]).astype(np.float32)
    placed = two_dimensional("t-sne", codes)
    np.testing.assert_array_equal(placed, two_dimensional("t-sne", codes))
    centres = np.array([placed[groups == g].mean(axis=0) for g in range(3)])
    nearest = ((placed[:, None] - centres) ** 2).sum(axis=-1).argmin(axis=1)
    np.testing.assert_array_equal(nearest, groups)


@pytest.mark.skipif(importlib.util.find_spec("umap") is not None, reason="umap is installed")
def test_umap_says_how_to_install_it(codes: np.ndarray) -> None:
    with pytest.raises(Absent, match=r"pip install umap-learn"):
        two_dimensional("umap", codes)


@pytest.mark.skipif(importlib.util.find_spec("umap") is None, reason="umap is not installed")
def test_umap_places_points(codes: np.ndarray) -> None:
    placed = two_dimensional("umap", codes)
    assert placed.shape == (150, 2)
    assert np.isfinite(placed).all()


def test_codes_of_two_dimensions_are_their_own_map(codes: np.ndarray) -> None:
    for name in ("pca", "t-sne", "umap"):
        np.testing.assert_array_equal(two_dimensional(name, codes[:, :2]), codes[:, :2])


def test_what_has_no_map(codes: np.ndarray) -> None:
    with pytest.raises(Absent, match="at least 100"):
        two_dimensional("pca", codes[:99])
    with pytest.raises(Absent, match="one dimension"):
        two_dimensional("pca", codes[:, :1])
    with pytest.raises(Absent, match="all codes are equal"):
        two_dimensional("pca", np.ones_like(codes))
    with pytest.raises(Absent, match="NaN or infinite"):
        two_dimensional("pca", np.full_like(codes, np.nan))
    with pytest.raises(Absent, match="more than 20"):
        trustworthiness(codes[:20], codes[:20, :2])
    with pytest.raises(Absent, match="all distances are equal"):
        shepard_correlation(codes, np.ones((150, 2), np.float32))
