"""Photographs are cropped at random, and the same seed gives the same crops."""

from __future__ import annotations

import numpy as np

from bench.studies.image_sets import photo_crops


def test_crops_are_those_of_the_photographs() -> None:
    crops = photo_crops(6, 32, 48, seed=1)
    assert crops.shape == (6, 32, 48, 3)
    assert len({crop.tobytes() for crop in crops}) == 6
    assert crops.std() > 20
    np.testing.assert_array_equal(crops, photo_crops(6, 32, 48, seed=1))
