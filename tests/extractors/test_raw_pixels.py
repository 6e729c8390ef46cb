"""`pixels`: by hand."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from bench.errors import InputError, UsageError
from bench.extractors import EXTRACTORS
from bench.extractors.base import Extractor, ExtractorChoice
from bench.extractors.raw_pixels import DEFINITION, RawPixels
from tests.conftest import RealSample


@pytest.fixture(scope="module")
def pixels() -> Extractor:
    extractor = EXTRACTORS["pixels"].resolve().load("cpu")
    assert isinstance(extractor, RawPixels)
    return extractor


def test_values_by_hand(pixels: Extractor) -> None:
    images = np.zeros((2, 8, 9, 3), np.uint8)
    images[1, 2, 3] = (255, 51, 0)  # 51 / 255 = 0.2
    found = pixels(images)
    assert found.logits is None
    assert found.values.dtype == np.float32
    assert found.values.shape == (2, 8 * 9 * 3)
    expected = np.zeros((2, 216), np.float32)
    at = (2 * 9 + 3) * 3  # row 2, column 3
    expected[1, at : at + 2] = (1, 0.2)
    np.testing.assert_array_equal(found.values, expected)


def test_grey_has_the_dimension_of_colour(pixels: Extractor, mnist: RealSample) -> None:
    images = mnist.images[:1500]  # more than one block
    seen: list[tuple[int, int]] = []
    grey = pixels(images, progress=lambda *at: seen.append(at))
    colour = pixels(np.repeat(images, 3, axis=3))
    assert grey.values.shape == (1500, 28 * 28 * 3)
    np.testing.assert_array_equal(grey.values, colour.values)
    np.testing.assert_array_equal(
        grey.values.reshape((*images.shape[:3], 3))[..., 1], images[..., 0] / np.float32(255)
    )
    assert seen == [(1024, 1500), (1500, 1500)]


@pytest.mark.parametrize(("height", "width"), [(65, 64), (64, 65), (256, 256)])
def test_large_images_are_refused(pixels: Extractor, height: int, width: int) -> None:
    with pytest.raises(InputError, match=f"at most 64x64 px, got {width}x{height} px.*--resize 64"):
        pixels(np.zeros((1, height, width, 3), np.uint8))
    assert pixels(np.zeros((1, 64, 64, 1), np.uint8)).values.shape == (1, 12_288)


def test_identity(pixels: Extractor) -> None:
    row = EXTRACTORS["pixels"]
    assert pixels.digest == hashlib.sha256(DEFINITION.encode()).hexdigest()
    assert row.resolve().load("cuda").device == "cpu"  # where the numbers are computed
    with pytest.raises(UsageError, match="has no choice of layer"):
        row.resolve(ExtractorChoice(layer="2048"))
