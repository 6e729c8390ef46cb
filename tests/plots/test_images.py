"""Sheets of images hold every pixel."""

from __future__ import annotations

import numpy as np
import pytest

from bench.plots import contact_sheet, pair_sheet

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 28, 28, 1), np.uint8)


def test_contact_sheet_holds_every_pixel() -> None:
    sheet = contact_sheet(IMAGES, 4)
    assert sheet.shape == (3 * 30 - 2, 4 * 30 - 2, 4)
    np.testing.assert_array_equal(sheet[:28, :28, 0], IMAGES[0, ..., 0])
    np.testing.assert_array_equal(sheet[60:88, 30:58, 2], IMAGES[9, ..., 0])  # row 2, column 1
    assert not sheet[28:30, :, 3].any()  # gaps are transparent
    assert not sheet[60:, 60:, 3].any()  # and so are places without an image


@pytest.mark.parametrize("shape", [(0, 28, 28, 1), (2, 28, 28, 2)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected images"):
        contact_sheet(np.zeros(shape, np.uint8), 4)


def test_pairs_stand_above_each_other() -> None:
    other = 255 - IMAGES
    sheet = pair_sheet(IMAGES, other, 12)
    assert sheet.shape == (56, 10 * 30 - 2, 4)
    np.testing.assert_array_equal(sheet[28:, 30:58, 1], other[1, ..., 0])
    with pytest.raises(ValueError, match="pairs"):
        pair_sheet(IMAGES, other[:3], 12)
