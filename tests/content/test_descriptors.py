"""Descriptors: lengths, distances, shifts and amplitudes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.content.descriptors import (
    DIMENSIONS,
    STEP,
    amplitudes,
    descriptors,
    packed,
    shifted,
    unpacked,
)
from tests.conftest import RealSample

IMAGES = arrays(np.uint8, st.tuples(st.just(2), st.integers(8, 20), st.integers(8, 20)))


def test_a_wave_is_one_coefficient() -> None:
    """cos(2 pi x / 16) over 16 columns, constant down: the second function across, none down."""
    wave = 128 + 100 * np.cos(2 * np.pi * np.arange(16) / 16)
    image = np.broadcast_to(np.round(wave), (1, 16, 16)).astype(np.uint8)
    found = descriptors(image)[0]
    assert found[0] == pytest.approx(1, abs=1e-3)  # after the mean, which is left out: cos x
    assert np.abs(found[1:]).max() < 0.01


@given(IMAGES)
def test_lengths_are_one_or_zero(images: np.ndarray) -> None:
    length = np.linalg.norm(descriptors(images), axis=1)
    assert np.all((np.abs(length - 1) < 1e-5) | (length == 0))


def test_no_contrast_no_descriptor() -> None:
    flat = np.full((2, 28, 28), 90, np.uint8)
    flat[1, 3, 4] = 110  # one pixel: 20 / 28 grey levels of contrast over all frequencies
    assert not descriptors(flat).any()


def test_mean_and_contrast_do_not_matter(mnist: RealSample) -> None:
    images = mnist.images[:20, ..., 0]
    weaker = (40 + images.astype(float) * 0.5).round().astype(np.uint8)
    assert np.abs(descriptors(images) - descriptors(weaker)).max() < 2e-3


@given(IMAGES, st.integers(-3, 3), st.integers(-3, 3))
def test_a_shift_that_wraps_turns_descriptors(images: np.ndarray, down: int, right: int) -> None:
    height, width = images.shape[1:]
    moved = descriptors(np.roll(images, (down, right), (1, 2)))
    turned = shifted(descriptors(images), down, right, height=height, width=width)
    assert np.abs(moved - turned).max() < 1e-4


@given(IMAGES, st.integers(-3, 3), st.integers(-3, 3))
def test_amplitudes_bound_distances_under_shifts(images: np.ndarray, down: int, right: int) -> None:
    height, width = images.shape[1:]
    d = descriptors(images)
    turned = shifted(d, down, right, height=height, width=width)
    assert np.abs(amplitudes(d) - amplitudes(turned)).max() < 1e-4
    apart = np.linalg.norm(amplitudes(d)[0] - amplitudes(d)[1])
    assert apart <= np.linalg.norm(turned[0] - d[1]) + 1e-4


def test_packing_rounds_to_half_a_step(mnist: RealSample) -> None:
    d = descriptors(mnist.images[:200, ..., 0])
    small = packed(d)
    assert small.shape == (DIMENSIONS, 200)
    assert np.abs(unpacked(small) - d).max() <= STEP / 2 + 1e-6
