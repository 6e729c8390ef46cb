"""The factor data: what every factor does to the image, from the pixels and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.datasets import is_dataset_name, load_dataset
from bench.data.factors import (
    CLASSES,
    FACTOR_NAMES,
    FACTORS,
    NUM_COMBINATIONS,
    NUM_LEVELS,
    draw_factors,
    draw_levels,
)
from bench.errors import UsageError

CROSS, ARROW, RECTANGLE = CLASSES.index("cross"), CLASSES.index("arrow"), CLASSES.index("rectangle")
CENTRED = {"class": CROSS, "x": 4, "y": 4, "scale": 7, "rotation": 8, "thickness": 2}


def image(**levels: int) -> np.ndarray:
    chosen = {**CENTRED, **levels}
    row = [chosen[name] for name in FACTOR_NAMES]
    return draw_factors(np.array([row]))[0, :, :, 0].astype(float) / 255


def centre(picture: np.ndarray) -> np.ndarray:
    """Return the centre of mass, x then y, in px from the middle of the image."""
    rows, columns = np.mgrid[:28, :28] - 13.5
    return np.array([(columns * picture).sum(), (rows * picture).sum()]) / picture.sum()


def axis(picture: np.ndarray) -> float:
    """Return the angle of the first principal axis in degrees, clockwise because y points down."""
    rows, columns = np.mgrid[:28, :28] - 13.5
    x, y = columns - centre(picture)[0], rows - centre(picture)[1]
    xx, yy, xy = ((a * picture).sum() for a in (x * x, y * y, x * y))
    return float(np.degrees(0.5 * np.arctan2(2 * xy, xx - yy)))


def test_x_and_y_move_the_drawing_by_whole_pixels() -> None:
    middle = image()
    for level, shift in ((0, -4), (3, -1), (8, 4)):
        np.testing.assert_array_equal(image(x=level), np.roll(middle, shift, axis=1))
        np.testing.assert_array_equal(image(y=level), np.roll(middle, shift, axis=0))
        assert FACTORS[1].values[level] == shift


def test_the_cross_is_in_the_middle() -> None:
    np.testing.assert_allclose(centre(image()), 0, atol=1e-2)


@pytest.mark.parametrize("level", [0, 5, 15])
@pytest.mark.parametrize("label", [RECTANGLE, ARROW])
def test_rotation_turns_clockwise_by_its_degrees(label: int, level: int) -> None:
    degrees = FACTORS[FACTOR_NAMES.index("rotation")].values[level]
    turned = image(**{"class": label, "rotation": level})
    assert axis(turned) == pytest.approx(degrees, abs=0.6)


def test_the_ink_of_a_straight_stroke_is_its_length_times_its_thickness() -> None:
    """An upright cross has two strokes of 2 * 0.95 * 7.7 px. At 2.7 degrees (no level is 0) the
    caps add half a disc at each of four ends, and the strokes share one square.
    """
    length = 2 * 0.95 * 7.7
    for level, thickness in enumerate(FACTORS[FACTOR_NAMES.index("thickness")].values):
        ink = image(thickness=level).sum()
        expected = 2 * length * thickness + np.pi * thickness**2 / 2 - thickness**2
        assert ink == pytest.approx(expected, rel=0.04)


def test_scale_is_the_extent_of_the_drawing() -> None:
    widest = [
        np.ptp(np.flatnonzero((image(scale=level) > 0.5).any(axis=0))) + 1 for level in range(8)
    ]
    assert widest == sorted(widest)
    # 2 * 0.95 * 7.7 px and the stroke's 1.6 px; the smallest is 0.6 of the largest
    assert widest[-1] == pytest.approx(2 * 0.95 * 7.7 + 1.6, abs=1)
    assert widest[0] == pytest.approx(0.6 * 2 * 0.95 * 7.7 + 1.6, abs=1)


def test_no_drawing_touches_the_border_of_its_template_and_no_two_images_are_equal() -> None:
    extremes = [
        [label, x, y, 7, rotation, 5]
        for label in range(10)
        for x in (0, 8)
        for y in (0, 8)
        for rotation in range(16)
    ]
    images = draw_factors(np.array(extremes))
    ink = (images > 0).sum(axis=(1, 2, 3))
    at_the_centre = draw_factors(np.array([[row[0], 4, 4, *row[3:]] for row in extremes]))
    np.testing.assert_array_equal(ink, (at_the_centre > 0).sum(axis=(1, 2, 3)))
    assert not images[:, [0, -1]].any()
    assert not images[:, :, [0, -1]].any()
    drawn = draw_factors(draw_levels(20_000, seed=5)).reshape(20_000, -1)
    assert len(np.unique(drawn, axis=0)) == 20_000


def test_levels_are_distinct_balanced_and_nearly_independent() -> None:
    levels = draw_levels(20_000, seed=0)
    assert len(np.unique(levels, axis=0)) == 20_000
    for column, num in zip(levels.T, NUM_LEVELS, strict=True):
        counts = np.bincount(column, minlength=num)
        assert counts.min() > 0.85 * 20_000 / num
    correlations = np.corrcoef(levels.T) - np.eye(6)
    assert np.abs(correlations).max() < 4 / np.sqrt(20_000)


def test_the_splits_share_no_image_and_depend_on_the_seed() -> None:
    train, test = load_dataset("factors:3000", "train"), load_dataset("factors:3000", "test")
    assert (train.images.shape, test.images.shape) == ((3000, 28, 28, 1), (10_000, 28, 28, 1))
    assert train.levels is not None
    assert test.levels is not None
    both = np.concatenate([train.levels, test.levels])
    assert len(np.unique(both, axis=0)) == 13_000
    np.testing.assert_array_equal(train.labels, train.levels[:, 0])
    again = load_dataset("factors:3000:0", "train")
    np.testing.assert_array_equal(again.images, train.images)
    other = load_dataset("factors:3000:1", "train").levels
    assert other is not None
    assert (other != train.levels).any()
    np.testing.assert_array_equal(draw_levels(10, seed=0), train.levels[:10])


@pytest.mark.parametrize(
    "name", ["factors:", "factors:x", "factors:-5", "factors:1:2:3", "factors:1.5"]
)
def test_a_malformed_name_is_an_error(name: str) -> None:
    assert is_dataset_name(name)
    with pytest.raises(UsageError, match="factors:5000:1"):
        load_dataset(name, "train")


def test_sizes_that_do_not_exist_are_errors() -> None:
    for num in (0, NUM_COMBINATIONS):
        with pytest.raises(UsageError, match="612080 train images"):
            load_dataset(f"factors:{num}", "train")
    with pytest.raises(UsageError, match="expected 1 to 622080"):
        draw_levels(NUM_COMBINATIONS + 1)
    with pytest.raises(UsageError, match="outside its factor"):
        draw_factors(np.array([[10, 0, 0, 0, 0, 0]]))
    with pytest.raises(UsageError, match="expected integers N,6"):
        draw_factors(np.zeros((2, 5), np.int64))
