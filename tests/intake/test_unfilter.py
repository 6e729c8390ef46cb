"""Row filters undone for many images at once, against Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from bench.intake.unfilter import unfilter
from tests.intake.pictures import header, raw_png


def by_pillow(stream: np.ndarray, channels: int) -> np.ndarray:
    n, height, stride = stream.shape
    width = (stride - 1) // channels
    head = header(width, height, colour=0 if channels == 1 else 2)
    images = [np.asarray(Image.open(io.BytesIO(raw_png(head, one.tobytes())))) for one in stream]
    return np.stack(images).reshape(n, height, width, channels)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), n=st.integers(1, 4), height=st.integers(1, 9), width=st.integers(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
def test_random_images_with_random_filters_agree_with_pillow(channels, data, n, height, width):
    shape = (n, height, 1 + width * channels)
    stream = data.draw(hnp.arrays(np.uint8, shape))
    stream[:, :, 0] = data.draw(hnp.arrays(np.uint8, (n, height), elements=st.integers(0, 4)))
    assert np.array_equal(unfilter(stream, channels), by_pillow(stream, channels))


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("channels", [1, 3])
def test_each_filter_alone(kind, channels):
    rng = np.random.default_rng(kind)
    stream = rng.integers(0, 256, (20, 28, 1 + 28 * channels), np.uint8)
    stream[:, :, 0] = kind
    before = stream.copy()
    assert np.array_equal(unfilter(stream, channels), by_pillow(stream, channels))
    assert np.array_equal(stream, before)


def test_two_by_two_by_hand():
    # Row 1, Sub: 10, 10 + 5 = 15. Row 2, Paeth: left of 1st is 0, above 10, above left 0:
    # 0 + 10 - 0 = 10, nearest is above: 1 + 10 = 11. Then a=11, b=15, c=10, p=16: nearest is b,
    # 250 + 15 = 265 = 9 modulo 256.
    stream = np.array([[[1, 10, 5], [4, 1, 250]]], np.uint8)
    assert unfilter(stream, 1)[0, ..., 0].tolist() == [[10, 15], [11, 9]]


def test_filters_of_one_image_do_not_touch_another():
    stream = np.zeros((2, 3, 4), np.uint8)
    stream[:, :, 1:] = 7
    stream[1, :, 0] = 2  # Up: 7, 14, 21
    pixels = unfilter(stream, 1)
    assert (pixels[0] == 7).all()
    assert pixels[1, :, 0, 0].tolist() == [7, 14, 21]
