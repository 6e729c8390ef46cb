"""The perturbations: each does what it says, by how much it says."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.perturbations import PERTURBATIONS, RealImages
from tests.conftest import RealSample


@pytest.fixture
def real(mnist: RealSample, fashion: RealSample) -> RealImages:
    return RealImages(mnist.images, mnist.labels, np.arange(400), fashion.images)


def applied(name: str, real: RealImages, level: float, seed: int = 0) -> np.ndarray:
    return PERTURBATIONS[name].apply(real, level, np.random.default_rng(seed))


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_contract(name: str, real: RealImages, mnist: RealSample) -> None:
    levels = PERTURBATIONS[name].levels
    assert list(levels) == sorted(set(levels))
    assert len(levels) == 5
    before = mnist.images.copy()
    images = applied(name, real, levels[2])
    assert (images.shape, images.dtype) == (real.images.shape, np.uint8)
    np.testing.assert_array_equal(images, applied(name, real, levels[2]))
    np.testing.assert_array_equal(mnist.images, before)
    assert (images != real.images).any()


def test_noise_and_blur(real: RealImages) -> None:
    grey = real._replace(pool=np.full_like(real.pool, 128))
    noisy = applied("gaussian-noise", grey, 0.1)
    assert noisy.std() == pytest.approx(25.5, rel=0.02)
    assert noisy.mean() == pytest.approx(128, abs=0.5)
    np.testing.assert_array_equal(applied("gaussian-blur", grey, 2.0), grey.images)
    point = np.zeros_like(real.pool[:1])
    point[0, 14, 14, 0] = 255
    blurred = applied("gaussian-blur", real._replace(pool=point, chosen=np.array([0])), 1.0)
    assert blurred[0, 14, 14, 0] == pytest.approx(255 / (2 * np.pi), abs=1)  # peak of a 2-D normal


def test_salt_and_pepper_share(real: RealImages) -> None:
    grey = real._replace(pool=np.full_like(real.pool, 128))
    images = applied("salt-and-pepper", grey, 0.2)
    assert (images == 0).mean() == pytest.approx(0.1, abs=0.005)
    assert (images == 255).mean() == pytest.approx(0.1, abs=0.005)


def test_rotation_goes_both_ways_and_a_full_turn_is_none(real: RealImages) -> None:
    np.testing.assert_allclose(applied("rotation", real, 360).astype(int), real.images, atol=1)
    quarter = applied("rotation", real, 90)
    turned = [
        [np.abs(image.astype(int) - np.rot90(original, way)).mean() < 1 for way in (1, -1)]
        for image, original in zip(quarter, real.images, strict=True)
    ]
    assert 0.35 < np.mean([ways[0] for ways in turned]) < 0.65
    assert all(any(ways) for ways in turned)


def test_elastic_keeps_ink_roughly(real: RealImages) -> None:
    moved = applied("elastic", real, 1.0)
    assert moved.mean() == pytest.approx(real.images.mean(), rel=0.05)
    np.testing.assert_allclose(applied("elastic", real, 1e-6).astype(int), real.images, atol=1)


def test_rectangles_cover_their_share(real: RealImages) -> None:
    white = real._replace(pool=np.full_like(real.pool, 255))
    images = applied("erased-rectangles", white, 0.1)
    side = round((0.1 * 28 * 28) ** 0.5)
    assert ((images == 0).sum(axis=(1, 2, 3)) == side * side).all()


def test_dropped_and_repeated_classes_and_mixture(real: RealImages, mnist: RealSample) -> None:
    label_of = {image.tobytes(): label for image, label in zip(*mnist, strict=True)}
    labels = [label_of[image.tobytes()] for image in applied("dropped-classes", real, 3)]
    assert set(labels) == set(range(7))
    assert len({image.tobytes() for image in applied("dropped-classes", real, 3)}) == 400
    labels = [label_of[image.tobytes()] for image in applied("repeated-class", real, 0.5)]
    share = (mnist.labels[:400] == 1).mean()
    assert labels.count(1) / 400 == pytest.approx(0.5 + share / 2, abs=0.05)
    mixed = applied("mixture", real, 0.25)
    assert sum(image.tobytes() not in label_of for image in mixed) == 100
