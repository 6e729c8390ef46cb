"""Eigenvectors by the shorter side: against NumPy's singular value decomposition and scikit-learn,
and pictures whose square matrix of pixels would not fit.
"""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA

from bench.anomaly.detectors import DETECTORS, DetectorSettings, spectrum
from bench.anomaly.detectors.components import Components
from bench.anomaly.detectors.spectrum import Spectrum
from bench.errors import InputError, UsageError


@pytest.mark.parametrize("shape", [(40, 15), (15, 40), (20, 20), (2, 30), (1, 5)])
def test_against_a_singular_value_decomposition(shape):
    x = np.random.default_rng(0).normal(size=shape) * np.linspace(1, 3, shape[1])
    found = Spectrum.of(x, "test")
    centred = x - x.mean(axis=0)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(found.mean, x.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(found.values, singular**2, atol=1e-9 * max(singular[0] ** 2, 1))
    np.testing.assert_allclose(found.axes @ found.axes.T, np.eye(min(shape)), atol=1e-9)
    kept = singular > 1e-6 * max(singular[0], 1e-300)
    overlap = np.abs((found.axes * axes).sum(axis=1))[kept]
    np.testing.assert_allclose(overlap, 1, atol=1e-9)
    assert found.rank == min(shape[0] - 1, shape[1])


def test_components_of_fewer_images_than_pixels_are_those_of_scikit_learn():
    x = np.random.default_rng(1).normal(size=(30, 200)) * np.geomspace(1, 50, 200)
    for share in (0.5, 0.95):
        found = Components.of(x, share)
        expected = PCA(n_components=share, svd_solver="full").fit(x)
        assert found.axes.shape == expected.components_.shape
        overlap = np.abs((found.axes * expected.components_).sum(axis=1))
        np.testing.assert_allclose(overlap, 1, atol=1e-9)
    everything = Components.of(x, 1.0)
    back = everything.project(x) @ everything.axes + everything.mean
    np.testing.assert_allclose(back, x, atol=1e-9)


def test_mahalanobis_of_fewer_images_than_pixels_is_that_of_scikit_learn():
    rng = np.random.default_rng(2)
    normal, others = (rng.integers(0, 256, (n, 12, 12, 1)).astype(np.uint8) for n in (25, 40))
    one = DETECTORS.find("mahalanobis-pixels").make(DetectorSettings())
    one.fit(normal)
    rows = [images.reshape(len(images), -1).astype(np.float64) for images in (normal, others)]
    expected = LedoitWolf().fit(rows[0])
    np.testing.assert_allclose(one.scores(others), expected.mahalanobis(rows[1]), rtol=1e-9)
    assert one.settled()["shrinkage"] == pytest.approx(expected.shrinkage_, rel=1e-9)


@pytest.mark.parametrize("name", ["pca", "kde", "isolation-forest", "mahalanobis-pixels"])
def test_colour_images_of_64_px(name, monkeypatch):
    """D = 12,288: a matrix of D,D takes 1.2 GB and minutes, one of the 40 images nothing."""
    whole = np.linalg.eigh

    def of_images(matrix):
        assert len(matrix) <= 40
        return whole(matrix)

    monkeypatch.setattr(np.linalg, "eigh", of_images)
    rng = np.random.default_rng(3)
    base = rng.integers(0, 256, (64, 64, 3))
    noise = rng.normal(0, 20, (46, 64, 64, 3))
    images = (base + noise).clip(0, 255).astype(np.uint8)
    images[-1] = 255 - images[-1]
    one = DETECTORS.find(name).make(DetectorSettings())
    tracemalloc.start()
    try:
        one.fit(images[:40])
        scores = one.scores(images[40:])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200e6
    if name != "isolation-forest":  # which sees the directions of the normal images alone
        assert scores.argmax() == 5
    assert np.isfinite(scores).all()


def test_sides_that_are_too_long(monkeypatch):
    monkeypatch.setattr(spectrum, "MAX_SIDE", 20)
    images = np.random.default_rng(4).integers(0, 256, (21, 8, 8, 1)).astype(np.uint8)
    for name in ("pca", "kde", "isolation-forest", "mahalanobis-pixels"):
        one = DETECTORS.find(name).make(DetectorSettings())
        with pytest.raises(UsageError, match=rf"{name}: 21 images of 64 values.*--resize"):
            one.fit(images)
        one.fit(images[:20])


def test_rows_that_are_not_finite():
    x = np.ones((3, 5))
    x[1, 1] = np.nan
    with pytest.raises(InputError, match="NaN"):
        Spectrum.of(x, "test")
