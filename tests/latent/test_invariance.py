"""Variations of images, invariances and reuse: against SciPy, scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.neighbors import KNeighborsRegressor

from bench.data.variations import vary
from bench.latent.invariance import (
    PENALTIES,
    design_variations,
    linear_correlations,
    neighbour_r2,
    random_variations,
    variance_shares,
    varied,
)
from bench.latent.reuse import reconstruction_error
from bench.latent.values import Absent
from tests.conftest import RealSample


def test_a_whole_shift_is_exact(mnist: RealSample) -> None:
    images = mnist.images[:5]
    variations = np.array([[0.0, 3.0]] * 5)
    moved = np.zeros_like(images)
    moved[:, :, 3:] = images[:, :, :-3]
    np.testing.assert_array_equal(varied(images, variations), moved)
    np.testing.assert_array_equal(varied(images, 0 * variations), images)


@pytest.mark.parametrize("shape", [(28, 28), (20, 32)])
def test_rotation_and_shift_against_scipy(shape: tuple[int, int]) -> None:
    """SciPy's map from output to input coordinates: rows, columns around the centre."""
    image = ndimage.gaussian_filter(np.random.default_rng(0).random(shape), 2)
    degrees, shift = 25.0, 2.5
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    # clockwise with rows downwards: x = cos x' + sin y', y = -sin x' + cos y' of x' - shift
    matrix = np.array([[cos, -sin], [sin, cos]])
    centre = (np.array(shape) - 1) / 2
    offset = centre - matrix @ (centre + np.array([0, shift]))
    expected = ndimage.affine_transform(image, matrix, offset, order=1, mode="grid-constant")
    found = vary(
        torch.from_numpy(image)[None, None].float(), torch.tensor([degrees]), torch.tensor([shift])
    )
    np.testing.assert_allclose(found[0, 0].numpy(), expected, atol=1e-5)


def test_the_variations() -> None:
    drawn = random_variations(4000, seed=0)
    assert np.abs(drawn).max(axis=0) == pytest.approx([60, 6], rel=0.01)
    assert np.abs(drawn.mean(axis=0) / [60, 6]).max() < 0.05
    design = design_variations()
    assert design.shape == (25, 2)
    assert sorted(set(design[:, 0])) == [-60, -30, 0, 30, 60]
    assert sorted(set(design[:, 1])) == [-6, -3, 0, 3, 6]


@pytest.fixture(scope="module")
def noisy() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    factors = rng.uniform(-1, 1, (400, 2)) * [60, 6]
    codes = factors / [60, 6] @ rng.normal(size=(2, 3)) + 0.3 * rng.normal(size=(400, 3))
    return codes.astype(np.float32), factors


def test_the_linear_map_against_scikit_learn(noisy: tuple[np.ndarray, np.ndarray]) -> None:
    codes, factors = noisy
    deviation = ((codes[:200] - codes[:200].mean(axis=0)) ** 2).sum() / codes.shape[1]
    model = RidgeCV([share * deviation for share in PENALTIES], alpha_per_target=True)
    model.fit(codes[:200].astype(np.float64), factors[:200])
    placed = model.predict(codes[200:])
    expected = [np.corrcoef(placed[:, f], factors[200:, f])[0, 1] for f in range(2)]
    np.testing.assert_allclose(linear_correlations(codes, factors), expected, rtol=1e-5)


def test_neighbours_against_scikit_learn(noisy: tuple[np.ndarray, np.ndarray]) -> None:
    codes, factors = noisy
    model = KNeighborsRegressor(5, algorithm="brute").fit(codes[:200], factors[:200])
    expected = r2_score(factors[200:], model.predict(codes[200:]), multioutput="raw_values")
    np.testing.assert_allclose(neighbour_r2(codes, factors), expected, rtol=1e-9)


def test_more_codes_than_images_do_not_hide_the_factor(
    noisy: tuple[np.ndarray, np.ndarray],
) -> None:
    codes, factors = noisy
    noise = 0.1 * np.random.default_rng(1).normal(size=(400, 500))
    many = np.concatenate([codes, noise], axis=1).astype(np.float32)
    assert (linear_correlations(many, factors) > 0.8).all()


def test_codes_without_the_factor_score_0() -> None:
    rng = np.random.default_rng(0)
    codes, factors = rng.normal(size=(600, 3)).astype(np.float32), rng.normal(size=(600, 2))
    assert (linear_correlations(codes, factors) < 0.2).all()
    assert neighbour_r2(codes, factors).tolist() == [0, 0]


def test_variance_shares_by_hand() -> None:
    rng = np.random.default_rng(0)
    image, variation = rng.normal(size=(6, 1, 2)), rng.normal(size=(1, 4, 2))
    only_image = np.broadcast_to(image, (6, 4, 2)).astype(np.float32)
    only_variation = np.broadcast_to(variation, (6, 4, 2)).astype(np.float32)
    assert variance_shares(only_image) == pytest.approx((0, 1), abs=1e-9)
    assert variance_shares(only_variation) == pytest.approx((1, 0), abs=1e-9)
    # a product of two centred vectors is pure interaction
    a, b = np.array([1.0, -1, 2, -2]), np.array([3.0, -1, -2])
    interaction = (a[:, None] * b)[..., None].astype(np.float32)
    assert variance_shares(interaction) == pytest.approx((0, 0), abs=1e-9)


def test_what_has_no_value(noisy: tuple[np.ndarray, np.ndarray]) -> None:
    codes, factors = noisy
    with pytest.raises(Absent, match="at least 12"):
        neighbour_r2(codes[:11], factors[:11])
    with pytest.raises(Absent, match="all codes are equal"):
        linear_correlations(np.ones_like(codes), factors)
    with pytest.raises(Absent, match="all codes are equal"):
        variance_shares(np.ones((3, 4, 2), np.float32))


def test_the_reconstruction_error_is_one_minus_r2(mnist: RealSample) -> None:
    images = mnist.images[:200]
    noise = np.random.default_rng(0).integers(-20, 20, images.shape)
    made = np.clip(images + noise, 0, 255).astype(np.uint8)
    x, y = (side.reshape(200, -1).astype(float) for side in (images, made))
    varies = np.ptp(x, axis=0) > 0  # a border that is always black has no R^2
    y[:, ~varies] = x[:, ~varies]
    made = y.astype(np.uint8).reshape(images.shape)
    expected = 1 - r2_score(x[:, varies], y[:, varies], multioutput="variance_weighted")
    found = reconstruction_error(images, made)
    assert found.estimate == pytest.approx(expected, rel=1e-9)
    assert found.low < found.estimate < found.high
    mean = np.broadcast_to(np.rint(images.mean(axis=0)), images.shape).astype(np.uint8)
    assert reconstruction_error(images, mean).estimate == pytest.approx(1, abs=1e-3)
    assert reconstruction_error(images, images).estimate == 0
    with pytest.raises(Absent, match="all images are equal"):
        reconstruction_error(images[:1].repeat(3, axis=0), made[:3])
    with pytest.raises(Absent, match="reconstructions"):
        reconstruction_error(images, made[:, :14])
