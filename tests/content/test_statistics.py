"""Statistics of single images against values derived by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bench.content.statistics import STATISTICS, image_statistics
from tests.content.conftest import Known
from tests.content.faults import jpeg


def statistic(images: np.ndarray, name: str) -> np.ndarray:
    return image_statistics(images)[:, STATISTICS.index(name)]


def test_levels() -> None:
    image = np.full((1, 10, 10), 100, np.uint8)
    image[0, 0] = 2  # 10 pixels black, 2 white
    image[0, 1, :2] = 253
    mean = (10 * 2 + 2 * 253 + 88 * 100) / 100
    assert statistic(image, "mean")[0] == pytest.approx(mean)
    sd = (sum(n * (v - mean) ** 2 for n, v in ((10, 2), (2, 253), (88, 100))) / 100) ** 0.5
    assert statistic(image, "sd")[0] == pytest.approx(sd)
    assert statistic(image, "black")[0] == pytest.approx(0.1)
    assert statistic(image, "white")[0] == pytest.approx(0.02)


@pytest.mark.parametrize("sd", [2.0, 5.0, 12.0])
def test_noise_is_the_standard_deviation(sd: float) -> None:
    """Of pure noise and of noise on a ramp, which the mask does not see; whole numbers add 1/12."""
    rng = np.random.default_rng(0)
    plain = 128 + rng.normal(0, sd, (40, 40, 40))
    ramp = plain + np.arange(40) - 20
    for images in (plain, ramp):
        found = statistic(images.round().astype(np.uint8), "noise")
        assert found.mean() == pytest.approx((sd**2 + 1 / 12) ** 0.5, rel=0.05)


def test_specks_are_counted() -> None:
    image = np.full((1, 12, 12), 100, np.uint8)
    image[0, 3, 3] = 148  # by 48: a speck
    image[0, 6, 6] = 147  # by 47: none
    image[0, 8, 3] = 30  # a dark one
    image[0, 3, 8:10] = 200  # two neighbours: none
    assert statistic(image, "specks")[0] == pytest.approx(2 / 100)  # of the inner 10x10 pixels


def test_sharpness_of_waves() -> None:
    """For cos(k x) first differences have amplitude 2 sin(k/2), second 4 sin^2(k/2), of which the
    ratio of energies is 4 sin^2(k/2); a wave in x alone.
    """
    x = np.arange(64)
    for period in (4, 8, 16):
        k = 2 * np.pi / period
        wave = np.broadcast_to((128 + 100 * np.cos(k * x)).round(), (1, 64, 64))
        found = statistic(wave.astype(np.uint8), "sharpness")[0]
        assert found == pytest.approx(np.log(4 * np.sin(k / 2) ** 2), abs=0.06)


def test_jpeg_is_seen_on_its_own_grid(known: Known) -> None:
    clean = statistic(known.rest[..., 0], "lossy")
    assert abs(np.nanmean(clean)) < 0.01
    for quality in (50, 75, 90, 95):
        coded = jpeg(known.rest[:150], quality)[..., 0]
        assert np.nanmean(statistic(coded, "lossy")) > 0.04
        moved = np.pad(coded, ((0, 0), (3, 5), (2, 6)))  # the grid at 3, 2: that of no file
        assert np.nanmean(statistic(moved, "lossy")) < 0.02


@pytest.mark.parametrize("size", [8, 12])
def test_images_below_two_blocks_have_no_traces(size: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, size, size), np.uint8)
    assert np.isnan(statistic(images, "lossy")).all()
    assert np.isfinite(image_statistics(images)[:, :-1]).all()


def test_flat_images_say_nothing_of_jpeg() -> None:
    assert np.isnan(statistic(np.full((2, 32, 32), 9, np.uint8), "lossy")).all()
