"""The named protocols' resizes against the code of the packages they stand for."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch_fidelity.interpolate_compat_tensorflow import (
    interpolate_bilinear_2d_like_tensorflow1x,
)

from bench.extractors.resampling import (
    PROTOCOLS,
    antialiased,
    half_pixel_bilinear,
    keys_cubic,
    network_input,
    resample,
    tensorflow1_bilinear,
    triangle,
)

SIDE = 299
SIZES = [(28, 28), (32, 32), (64, 48), (299, 299), (512, 384), (300, 1000), (8, 9), (2048, 2048)]


def random_images(height: int, width: int, n: int = 2, seed: int = 0) -> torch.Tensor:
    """uint8 N,3,H,W in the channels-last layout that images come in."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, height, width, 3), dtype=np.uint8)
    return torch.from_numpy(images).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_torch_fidelity(height: int, width: int) -> None:
    x = random_images(height, width)
    expected = interpolate_bilinear_2d_like_tensorflow1x(
        x.float(), size=(SIDE, SIDE), align_corners=False
    )
    torch.testing.assert_close(
        resample(x, "torch-fidelity", SIDE).contiguous(), expected, rtol=0, atol=1e-4
    )


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_pytorch_fid(height: int, width: int) -> None:
    """PyTorch's own coordinates are float32: at `size` px they are off by up to an ulp, size 2^-23
    px, and a step between two pixels is at most 255. How far it goes depends on the processor.
    """
    x = random_images(height, width)
    expected = F.interpolate(x.float(), size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    torch.testing.assert_close(
        resample(x, "pytorch-fid", SIDE).contiguous(),
        expected.contiguous(),
        rtol=0,
        atol=1e-4 + 255 * max(height, width) * 2**-23,
    )


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_torchmetrics(height: int, width: int) -> None:
    x = random_images(height, width)
    expected = F.interpolate(
        x.float(), size=(SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True
    )
    # 0.005 of 255 is torch's own rounding: it makes the weights in float32
    torch.testing.assert_close(
        resample(x, "torchmetrics", SIDE).contiguous(), expected.contiguous(), rtol=0, atol=0.01
    )


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_clean_fid(height: int, width: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cleanfid.resize import build_resizer

        resize = build_resizer("clean")
        x = random_images(height, width)
        expected = np.stack([resize(image.permute(1, 2, 0).numpy()) for image in x])
    found = resample(x, "clean-fid", SIDE).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    assert found.min() >= 0
    assert found.max() <= 255


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=25)
@given(
    height=st.integers(8, 80),
    width=st.integers(8, 80),
    size=st.integers(1, 90),
    grey=st.integers(0, 255),
)
def test_a_flat_image_stays_flat_and_values_in_range(
    protocol: str, height: int, width: int, size: int, grey: int
) -> None:
    flat = torch.full((1, 1, height, width), grey, dtype=torch.uint8)
    found = resample(flat, protocol, size)
    assert found.shape == (1, 1, size, size)
    torch.testing.assert_close(found, torch.full_like(found, grey), rtol=1e-5, atol=1e-4)
    noise = resample(random_images(height, width, n=1), protocol, size)
    assert float(noise.min()) >= -1e-3
    assert float(noise.max()) <= 255 + 1e-3


def test_two_pixels_to_four_by_hand() -> None:
    """Source coordinates of four targets between pixels 0 and 1."""
    # corner-aligned: 0, 0.5, 1, 1.5 -> the last two are pixel 1
    corner = [[1, 0], [0.5, 0.5], [0, 1], [0, 1]]
    np.testing.assert_allclose(tensorflow1_bilinear(2, 4), corner)
    # half-pixel: -0.25 (clamped to 0), 0.25, 0.75, 1.25 (only pixel 1 is left)
    half = [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    np.testing.assert_allclose(half_pixel_bilinear(2, 4), half)
    np.testing.assert_allclose(antialiased(2, 4, triangle, 1.0), half)


def test_four_pixels_to_two_by_hand() -> None:
    # no low-pass: 0.5 * 2 - 0.5 = 0.5 and 2.5, two taps each
    np.testing.assert_allclose(half_pixel_bilinear(4, 2), [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    # the triangle twice as wide: centre 1, weights 3/4 3/4 1/4 at distances 1/2, 1/2, 3/2, of 7/4
    np.testing.assert_allclose(
        antialiased(4, 2, triangle, 1.0), np.array([[3, 3, 1, 0], [0, 1, 3, 3]]) / 7
    )
    # Keys' kernel is 1 at 0 and 0 at the other integers; at 1/2 it is 9/16, at 3/2 -1/16
    np.testing.assert_allclose(
        keys_cubic(np.array([0.0, 1, 2, 0.5, -1.5])), [1, 0, 0, 9 / 16, -1 / 16]
    )


@pytest.mark.parametrize(
    ("protocol", "expected"), [("torch-fidelity", 1 / 128), ("pytorch-fid", 1 / 127.5)]
)
def test_scale_of_the_input(protocol: str, expected: float) -> None:
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    scaled = network_input(pixels, protocol, 16)
    centre = 1 / expected
    torch.testing.assert_close(
        scaled.contiguous(), (pixels.float() - centre) / centre, rtol=0, atol=1e-6
    )


def test_grey_expanded_to_three_channels_is_three_times_the_same() -> None:
    grey = random_images(20, 30)[:, :1]
    one = network_input(grey, "clean-fid", 40)
    three = network_input(grey.expand(-1, 3, -1, -1), "clean-fid", 40)
    for channel in range(3):
        torch.testing.assert_close(three[:, channel], one[:, 0], rtol=0, atol=0)
    assert three.is_contiguous(memory_format=torch.channels_last)
