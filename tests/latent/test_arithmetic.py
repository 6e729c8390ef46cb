"""Attributes of drawn bars, attribute vectors and analogies where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.latent import arithmetic
from bench.latent.arithmetic import (
    Known,
    analogies,
    attribute_vector,
    nearest_mean,
    slopes,
    spearman_rows,
    thirds,
)
from bench.latent.attributes import ATTRIBUTES, attributes_of
from bench.latent.context import Context
from bench.latent.data import LabelledImages, LatentData
from bench.latent.space import PixelSpace, checked
from bench.latent.values import Absent


def bar(width: int, height: int, shear: float = 0.0, level: int = 255) -> np.ndarray:
    """A bar in the middle of 40x40 px, each row shifted by shear * (distance above the middle)."""
    image = np.zeros((40, 40, 1), np.uint8)
    top = (40 - height) // 2
    for y in range(top, top + height):
        left = round((40 - width) / 2 + shear * (19.5 - y))
        image[y, left : left + width] = level
    return image


@pytest.mark.parametrize(("width", "height"), [(4, 24), (6, 30), (3, 20), (20, 5)])
def test_a_bar_has_its_sides(width: int, height: int) -> None:
    thickness, slant, wide, high, ink = attributes_of(bar(width, height)[None])[0]
    assert wide == pytest.approx(np.sqrt(width**2 - 1))  # 12 (w^2 - 1) / 12 on w pixels
    assert high == pytest.approx(np.sqrt(height**2 - 1))
    assert ink == pytest.approx(width * height / 1600)
    assert slant == 0
    assert thickness == pytest.approx(min(width, height), abs=0.6)


def test_slant_is_the_shear_and_positive_to_the_right() -> None:
    found = attributes_of(np.stack([bar(3, 25, shear) for shear in (-0.4, 0.0, 0.4)]))
    np.testing.assert_allclose(found[:, ATTRIBUTES.index("slant")], [-0.4, 0, 0.4], atol=0.03)


def test_thickness_rises_with_the_stroke_and_not_with_the_grey_level() -> None:
    widths = [2, 3, 4, 5, 6, 8]
    found = attributes_of(np.stack([bar(width, 30) for width in widths]))[:, 0]
    assert (np.diff(found) > 0.5).all()
    pale = attributes_of(bar(4, 30, level=90)[None])[0, 0]
    assert pale == pytest.approx(found[2])


def test_a_bright_background_is_inverted_and_a_blank_image_has_only_ink() -> None:
    image = bar(4, 24)
    np.testing.assert_allclose(attributes_of((255 - image)[None]), attributes_of(image[None]))
    blank = attributes_of(np.zeros((1, 28, 28, 1), np.uint8))[0]
    assert np.isnan(blank[:4]).all()
    assert blank[4] == 0
    full = attributes_of(np.full((1, 28, 28, 3), 255, np.uint8))[0]
    assert np.isnan(full[:4]).all()  # all bright: a blank image on a bright background


def test_slopes_and_spearman_against_scipy() -> None:
    values = np.random.default_rng(0).integers(0, 4, (30, 5)).astype(float)
    strengths = np.array([0, 0.5, 1, 1.5, 2])
    varied = values[np.ptp(values, axis=1) > 0]
    expected = [stats.spearmanr(row, np.arange(5)).statistic for row in varied]
    np.testing.assert_allclose(spearman_rows(varied), expected, atol=1e-12)
    expected = [stats.linregress(strengths, row).slope for row in values]
    np.testing.assert_allclose(slopes(values, strengths), expected, atol=1e-12)


def test_thirds_leave_out_what_has_no_value_and_need_a_difference() -> None:
    found = thirds(np.array([np.nan, 1.0, 2, 3, 4, 5, 6]))
    assert found.without.tolist() == [False, True, True, False, False, False, False]
    assert found.has.tolist() == [False, False, False, False, False, True, True]
    assert (found.middle, found.gap) == (3.5, 4.0)
    with pytest.raises(Absent, match="same for most"):
        thirds(np.ones(9))
    with pytest.raises(Absent, match="fewer than three"):
        thirds(np.full(9, np.nan))


def test_a_vector_of_three_images_a_side_is_the_mean_of_three() -> None:
    codes = np.arange(20.0)[:, None]
    has = np.arange(20) >= 10
    found = attribute_vector(codes, has, ~has, 3, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    up, down = (rng.choice(rows, 3, replace=False) for rows in (np.arange(10, 20), np.arange(10)))
    assert found.tolist() == [up.mean() - down.mean()]
    with pytest.raises(Absent, match="no image has"):
        attribute_vector(codes, np.zeros(20, bool), ~has, 3, np.random.default_rng(0))


def additive(noise: float) -> Known:
    """Codes where class and attribute add up: one axis for each class, one for the attribute."""
    rng = np.random.default_rng(3)
    classes = np.repeat(np.arange(4), 60)
    attribute = np.tile([0.0, 1.0, 2.0], 80)
    codes = np.concatenate([10 * np.eye(4)[classes], 5 * attribute[:, None]], axis=1)
    codes = (codes + noise * rng.standard_normal(codes.shape)).astype(np.float32)
    columns = np.repeat(attribute[:, None], len(ATTRIBUTES), axis=1)
    return Known(np.zeros((240, 1, 1, 1), np.uint8), codes, classes, columns)


def test_analogies_are_solved_where_class_and_attribute_add_up() -> None:
    sources = additive(0.1)
    groups = thirds(sources.attributes[:, 0])
    for average in (1, 3):
        found = analogies(sources, groups, average, np.random.default_rng(0))
        nearest = nearest_mean(found.codes, found.means)
        assert (nearest[:, 0] == found.expected).all()
        assert (nearest[:, 1] == 1).all()
    # codes without information: the answer is one of 8 means, by chance
    shuffled = sources._replace(codes=np.random.default_rng(0).permutation(sources.codes))
    found = analogies(shuffled, groups, 1, np.random.default_rng(0))
    nearest = nearest_mean(found.codes, found.means)
    assert ((nearest[:, 0] == found.expected) & (nearest[:, 1] == 1)).mean() < 0.3


def test_analogies_need_two_classes_with_images_of_both_kinds() -> None:
    sources = additive(0.1)
    groups = thirds(sources.attributes[:, 0])
    with pytest.raises(Absent, match="fewer than two classes"):
        analogies(sources._replace(classes=np.zeros(240, int)), groups, 1, np.random.default_rng(0))
    with pytest.raises(Absent, match="no classes"):
        analogies(sources._replace(classes=None), groups, 1, np.random.default_rng(0))


class Bars:
    """A space that knows its attribute: code 0 is the width of a bar in px."""

    name = "bars"

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return np.stack([bar(int(np.clip(round(float(c[0])), 2, 12)), 24) for c in codes])

    def encode(self, images: np.ndarray) -> np.ndarray:
        return (images[:, 20, :, 0] > 0).sum(axis=1, keepdims=True).astype(np.float32)


@pytest.fixture(scope="module")
def bars() -> LatentData:
    widths = np.random.default_rng(0).integers(2, 9, 240)
    images = np.stack([bar(int(width), 24) for width in widths])
    train, test = LabelledImages(images[:160]), LabelledImages(images[160:])
    return LatentData("bars", train, test, extractor="hog")


def test_a_space_with_a_code_for_thickness_gains_it_in_proportion(
    bars: LatentData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arithmetic, "NUM_ANALOGIES", 4)
    values = {
        value.key: value for value in arithmetic.measure_arithmetic(Context(checked(Bars()), bars))
    }
    assert values["attribute_gained (width, s = 0)"].value == 0
    assert values["attribute_gained (width, s = 1)"].value == 1
    assert values["attribute_monotonicity (width)"].value == pytest.approx(1, abs=0.03)
    # slope 1: the vector moves the lowest third onto the highest; the bar ends at 12 px
    slope = values["attribute_slope (width)"].value
    assert slope is not None
    assert 0.75 < slope < 1.1
    assert values["class_kept (width, s = 1)"].reason == "there is no classifier"
    assert values["attribute_gained (class)"].reason == "there are no classes"
    assert values["analogy_solved (width)"].reason == "there are no classes"
    # every bar is as high as the others
    assert "same for most" in values["attribute_gained (height)"].reason


def test_without_a_decoder_every_value_is_absent_with_the_reason(bars: LatentData) -> None:
    class EncoderOnly:
        name = "encoder"

        def encode(self, images: np.ndarray) -> np.ndarray:
            return PixelSpace((40, 40, 1)).encode(images)

    values = arithmetic.measure_arithmetic(Context(checked(EncoderOnly()), bars))
    assert {value.name for value in values} == {row.name for row in arithmetic.MEASURES}
    assert {value.reason for value in values} == {"encoder has no decoder (method decode)"}
