"""`random-conv`: the same weights everywhere, and a distance that sees what it should."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import convolve, gaussian_filter

from bench.errors import LatentbenchError
from bench.extractors import EXTRACTORS
from bench.extractors.base import ComputedWeights, Extractor
from bench.extractors.network import NetworkExtractor
from bench.extractors.random_conv import WIDTHS, generated_weights
from bench.metrics.frechet import frechet_distance
from bench.statistics.moments import Moments
from tests.conftest import RealSample

ROW = EXTRACTORS["random-conv"]


@pytest.fixture(scope="module")
def extractor() -> NetworkExtractor:
    loaded = ROW.resolve().load()
    assert isinstance(loaded, NetworkExtractor)
    return loaded


@pytest.fixture(params=["mnist", "fashion"])
def sample(request: pytest.FixtureRequest) -> RealSample:
    found: RealSample = request.getfixturevalue(request.param)
    return found


def test_weights_are_the_ones_of_the_table() -> None:
    """Drawn again in plain Python from the words of PCG64: 24 bits each, scaled to sqrt(6 / n)."""
    assert isinstance(ROW.weights, ComputedWeights)
    words = iter(np.random.PCG64(0).random_raw(sum(a * b * 9 for a, b in WIRING)).tolist())
    digest = hashlib.sha256()
    for (inputs, outputs), kernel in zip(WIRING, generated_weights(), strict=True):
        bound = (6 / (9 * inputs)) ** 0.5
        values = [((next(words) >> 40) / 2**23 - 1) * bound for _ in range(inputs * outputs * 9)]
        expected = np.array(values, np.float32).reshape(outputs, inputs, 3, 3)
        np.testing.assert_array_equal(kernel, expected)
        digest.update(expected.tobytes())
        # He et al. 2015: variance 2 / fan-in; the mean of n such values has that over n
        assert abs(kernel.var() * 9 * inputs / 2 - 1) < 0.1
        assert abs(kernel.mean()) < 4 * (2 / (9 * inputs) / kernel.size) ** 0.5
    assert digest.hexdigest() == ROW.weights.sha256


WIRING = list(itertools.pairwise((3, *WIDTHS)))


def test_other_weights_are_refused() -> None:
    with pytest.raises(LatentbenchError, match="generates weights of SHA-256 .* expected 0000"):
        replace(ROW, weights=ComputedWeights("0" * 64)).resolve().load()


def reference(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The features of one image H,W,3 in float64 with SciPy, written out again."""
    x = (image.astype(np.float64) - 127.5) / 63.75
    statistics = []
    for depth, kernel in enumerate(generated_weights()):
        if depth:  # means of 2x2 blocks, of what is there at the border
            rows, columns = (np.arange(0, size, 2) for size in x.shape[:2])
            x = np.array([[x[r : r + 2, c : c + 2].mean((0, 1)) for c in columns] for r in rows])
        x = np.stack(
            [
                sum(
                    convolve(x[..., i], k[i, ::-1, ::-1].astype(np.float64), mode="nearest")
                    for i in range(x.shape[2])
                )
                for k in kernel
            ],
            axis=-1,
        ).clip(min=0)
        statistics += [x.mean((0, 1)), x.std((0, 1))]
    return np.concatenate(statistics)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 13), (28, 28)])
def test_features_agree_with_float64(extractor: Extractor, height: int, width: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    found = extractor(image).values
    assert found.shape == (1, ROW.feature_dim) == (1, 544)
    np.testing.assert_allclose(found[0], reference(image[0]), rtol=1e-4, atol=1e-5)


def test_grey_is_replicated(extractor: Extractor, mnist: RealSample) -> None:
    grey = mnist.images[:5]
    colour = np.repeat(grey, 3, axis=3)
    np.testing.assert_array_equal(extractor(grey).values, extractor(colour).values)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (8, 2048), (300, 400)])
def test_any_size(extractor: Extractor, height: int, width: int) -> None:
    images = np.full((2, height, width, 1), 128, np.uint8)
    images[1, : height // 2] = 7
    values = extractor(images).values
    assert np.isfinite(values).all()
    assert np.abs(values[0] - values[1]).max() > 0.1
    # a flat image has no spread over space
    first_deviation = values[0, WIDTHS[0] : 2 * WIDTHS[0]]
    np.testing.assert_allclose(first_deviation, 0, atol=1e-5)


def test_features_do_not_depend_on_company(extractor: NetworkExtractor, mnist: RealSample) -> None:
    images = mnist.images[:90]
    whole = extractor(images).values
    order = np.random.default_rng(0).permutation(90)
    found = replace(extractor, batch_size=7)(images[order]).values
    np.testing.assert_allclose(found, whole[order], rtol=1e-5, atol=1e-5)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        np.testing.assert_allclose(extractor(images).values, whole, rtol=1e-5, atol=1e-5)
    finally:
        torch.set_num_threads(threads)


def distances(extractor: Extractor, real: RealSample, sets: list[NDArray[np.uint8]]) -> list[float]:
    """The Fréchet distance of each set to the first 1,000 real images."""
    reference = Moments.of(extractor(real.images[:1000]).values)
    return [
        frechet_distance(reference, Moments.of(extractor(images).values)).value for images in sets
    ]


def assert_rising(values: list[float], least_factor: float) -> None:
    assert all(a < b for a, b in itertools.pairwise(values)), values
    assert values[-1] > least_factor * values[0], values


def test_noise_is_seen(extractor: Extractor, sample: RealSample) -> None:
    other = sample.images[1000:]
    noise = np.random.default_rng(0).normal(size=other.shape)
    noisy = [(other + s * noise).round().clip(0, 255).astype(np.uint8) for s in (0, 2, 8, 24, 72)]
    assert_rising(distances(extractor, sample, noisy), 20)


def test_blur_is_seen(extractor: Extractor, sample: RealSample) -> None:
    other = sample.images[1000:]
    blurred = [
        gaussian_filter(other.astype(np.float64), (0, s, s, 0)).round().astype(np.uint8)
        for s in (0, 0.4, 0.6, 1, 2)
    ]
    assert_rising(distances(extractor, sample, blurred), 20)


def test_missing_classes_are_seen(extractor: Extractor, sample: RealSample) -> None:
    """The first 10, 8, 5, 2 and 1 classes; the smaller sets cost far less than that by size."""
    images, labels = sample.images[1000:], sample.labels[1000:]
    kept = [images[labels < classes] for classes in (10, 8, 5, 2, 1)]
    assert_rising(distances(extractor, sample, kept), 10)
    smallest = len(kept[-1])
    by_size = distances(extractor, sample, [images, images[:smallest]])
    by_class = distances(extractor, sample, [kept[-1]])
    assert by_class[0] > 2 * by_size[1]
