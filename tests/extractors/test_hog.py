"""`hog`: against a direct float64 sum over pixels, by hand, and what it must not see."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.extractors import EXTRACTORS
from bench.extractors.base import Extractor
from bench.extractors.hog import DEFINITION, DIGEST, cell_px
from tests.conftest import RealSample


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return EXTRACTORS["hog"].resolve().load("cpu")


def slopes(image: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of the channel with the largest gradient, float64 H,W."""
    across, down = np.zeros_like(image), np.zeros_like(image)
    across[:, 1:-1] = image[:, 2:] - image[:, :-2]
    down[1:-1] = image[2:] - image[:-2]
    largest = (across**2 + down**2).argmax(axis=2)[..., None]
    return (
        np.take_along_axis(across, largest, 2)[..., 0],
        np.take_along_axis(down, largest, 2)[..., 0],
    )


def direct(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The definition, pixel by pixel: uint8 H,W,C -> float64 D."""
    height, width, _ = image.shape
    cell = max(2, min(height, width) // 7)
    rows, columns = height // cell, width // cell
    histograms = np.zeros((rows, columns, 9))
    across, down = slopes(image.astype(np.float64))
    for y in range(height):
        for x in range(width):
            magnitude = math.hypot(across[y, x], down[y, x]) / 255
            place = (math.atan2(down[y, x], across[y, x]) % math.pi) / (math.pi / 9) - 0.5
            for row in range(rows):
                for column in range(columns):
                    near = max(0.0, 1 - abs(y + 0.5 - (row + 0.5) * cell) / cell) * max(
                        0.0, 1 - abs(x + 0.5 - (column + 0.5) * cell) / cell
                    )
                    if near:
                        low = math.floor(place)
                        histograms[row, column, low % 9] += near * magnitude * (low + 1 - place)
                        histograms[row, column, (low + 1) % 9] += near * magnitude * (place - low)
    found = []
    for row in range(rows - 1):
        for column in range(columns - 1):
            block = histograms[row : row + 2, column : column + 2].transpose(2, 0, 1).ravel()
            block = block / math.sqrt(block @ block + 1e-4)
            block = np.minimum(block, 0.2)
            found.append(block / math.sqrt(block @ block + 1e-4))
    return np.concatenate(found)


@pytest.mark.parametrize("size", [(28, 28), (8, 8), (31, 22), (15, 21)])
@pytest.mark.parametrize("channels", [1, 3])
def test_agrees_with_the_definition(
    extractor: Extractor, mnist: RealSample, size: tuple[int, int], channels: int
) -> None:
    if size == (28, 28) and channels == 1:
        images = mnist.images[:2]
    else:
        images = np.random.default_rng(0).integers(0, 256, (2, *size, channels), np.uint8)
    found = extractor(images)
    assert found.logits is None
    for row, image in zip(found.values, images, strict=True):
        np.testing.assert_allclose(row, direct(image), atol=1e-5)


def test_an_edge_by_hand(extractor: Extractor) -> None:
    """Left half black, right half white: all slopes point across, at 0 degrees, half-way between
    the last and the first orientation, whose centres are at 170 and 10 degrees.
    """
    image = np.zeros((1, 28, 28, 1), np.uint8)
    image[:, :, 14:] = 255
    values = extractor(image).values[0].reshape(6, 6, 9, 2, 2)  # blocks, orientations, cells
    assert (values[:, :, 1:8] == 0).all()
    np.testing.assert_allclose(values[:, :, 0], values[:, :, 8], atol=1e-5)
    # slopes of 1 at columns 13 and 14, so cells 2 to 4 (columns 8 to 19, centres 10, 14, 18) and
    # with them all blocks but the outermost ones, which hold cells 0, 1 and 5, 6
    assert (values[:, [0, 5]] == 0).all()
    assert (values[:, 1:5].reshape(6, 4, -1).max(axis=2) > 0.1).all()


def test_the_same_length_whatever_the_size_of_a_square(extractor: Extractor) -> None:
    for side in (28, 29, 280):
        assert extractor(np.zeros((1, side, side, 3), np.uint8)).values.shape == (1, 1296)
    assert extractor(np.zeros((1, 8, 8, 1), np.uint8)).values.shape == (1, 9 * 36)
    assert [cell_px(28, 28), cell_px(8, 2048), cell_px(299, 300)] == [4, 2, 42]


def test_grey_is_read_as_colour(extractor: Extractor, mnist: RealSample) -> None:
    grey = extractor(mnist.images[:50]).values
    np.testing.assert_array_equal(grey, extractor(np.repeat(mnist.images[:50], 3, axis=3)).values)
    assert np.isfinite(grey).all()
    assert (extractor(np.full((1, 28, 28, 1), 77, np.uint8)).values == 0).all()  # nothing to see


@given(st.integers(0, 1000), st.integers(1, 80))
def test_brightness_hardly_matters_and_negatives_not_at_all(seed: int, shift: int) -> None:
    extractor = EXTRACTORS["hog"].resolve().load("cpu")
    image = np.random.default_rng(seed).integers(0, 176, (1, 16, 16, 1), np.uint8)
    values = extractor(image).values
    np.testing.assert_allclose(extractor(image + np.uint8(shift)).values, values, atol=1e-4)
    np.testing.assert_allclose(extractor(255 - image).values, values, atol=1e-4)


def test_identity() -> None:
    assert EXTRACTORS["hog"].resolve().digest == DIGEST
    assert "L2-Hys" in DEFINITION
