"""Images that are grey except for rounding: a warning with the size, and a repair to grey."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import bench
from bench.extractors.base import luma
from bench.intake import SubmissionSpec, audit, repair
from bench.intake.image_set import colour_of
from tests.conftest import RealSample

GREY = SubmissionSpec(name="grey", count=6, width_px=28, height_px=28, mode="grey")


def _rgb(images, differences):
    """Return grey images (N,H,W,1) as RGB; image i has one pixel whose blue is off."""
    rgb = np.repeat(images, 3, axis=3)
    for i, difference in enumerate(differences):
        row, column = 9 + i, 13  # not among the pixels that are sampled
        level = rgb[i, row, column, 0]
        rgb[i, row, column, 2] = level + difference if level < 128 else level - difference
    return rgb


def _folder(path, images):
    path.mkdir()
    for i, image in enumerate(images):
        pixels = image[..., 0] if image.shape[2] == 1 else image
        Image.fromarray(pixels).save(path / f"{i}.png")
    return path


@pytest.fixture
def near(tmp_path, mnist: RealSample):
    return _folder(tmp_path / "near", _rgb(mnist.images[:6], (0, 1, 0, 2, 0, 1)))


@pytest.mark.parametrize("spec", [None, GREY])
def test_a_warning_says_how_far(near, spec):
    report = audit(near, spec=spec)
    assert report.valid
    by_code = {finding.code: finding for finding in report.findings}
    assert list(by_code) == ["near-grey", "grey-as-rgb"]
    finding = by_code["near-grey"]
    assert (finding.severity, finding.count) == ("warning", 3)
    assert finding.examples == ("1.png", "3.png", "5.png")
    assert "differ by up to 2 of 255 grey levels" in finding.message
    one = audit(near, spec=spec, limit=2).findings
    assert any("up to 1 of 255" in finding.message for finding in one)


@pytest.mark.parametrize("spec", [None, GREY])
def test_repair_makes_them_grey_and_keeps_all(near, tmp_path, spec, mnist: RealSample):
    report = repair(near, tmp_path / "out", spec=spec)
    assert report.num_written == report.num_images == 6
    assert {f.code: f.count for f in report.converted} == {"near-grey": 3, "grey-as-rgb": 3}
    again = audit(tmp_path / "out", spec=spec)
    assert (again.valid, again.findings) == (True, ())
    assert again.images.images.shape == (6, 28, 28, 1)
    # luma weighs blue by .114, so a difference of 2 levels in blue alone is rounded away
    assert np.array_equal(again.images.images, mnist.images[:6])


def test_three_levels_are_colour(tmp_path, mnist: RealSample):
    folder = _folder(tmp_path / "s", _rgb(mnist.images[:6], (0, 1, 0, 3, 0, 1)))
    found = {f.code: f for f in audit(folder, spec=GREY).findings}
    assert found["wrong-mode"].examples == ("3.png",)
    assert found["near-grey"].examples == ("1.png", "5.png")
    assert repair(folder, tmp_path / "out", spec=GREY).out is None
    # among coloured images, a nearly grey one is nothing to report, and stays as it is
    assert "near-grey" not in {f.code for f in audit(folder).findings}
    report = repair(folder, tmp_path / "out")
    assert report.num_written == 6
    assert "near-grey" not in {f.code for f in report.converted}
    copy, original = audit(tmp_path / "out").images.images, audit(folder).images.images
    assert np.array_equal(copy, original)


def test_a_spec_that_asks_for_rgb_keeps_them(near, tmp_path):
    spec = GREY.model_copy(update={"mode": "rgb"})
    assert "near-grey" not in {f.code for f in audit(near, spec=spec).findings}
    assert repair(near, tmp_path / "out", spec=spec).num_written == 6
    assert audit(tmp_path / "out", spec=spec).identity.channels == 3


def test_grey_files_among_them(tmp_path, mnist: RealSample):
    images = [*mnist.images[:3], *_rgb(mnist.images[3:6], (1, 1, 1))]
    folder = _folder(tmp_path / "s", images)
    assert [f.code for f in audit(folder, spec=GREY).findings] == ["near-grey"]
    repair(folder, tmp_path / "out", spec=GREY)
    assert np.array_equal(audit(tmp_path / "out").images.images, mnist.images[:6])


def test_repaired_images_are_what_a_grey_extractor_saw(tmp_path):
    """Every grey level and every difference of up to 2 levels in each channel."""
    level, red, green, blue = np.mgrid[:256, -2:3, -2:3, -2:3].reshape(4, 1, -1, 125 // 5)
    pixels = np.stack([level + red, level + green, level + blue], axis=-1)
    apart = pixels.max(axis=-1) - pixels.min(axis=-1)
    pixels = np.where((apart <= 2)[..., None], pixels, level[..., None]).clip(0, 255)
    images = pixels.astype(np.uint8)
    np.save(tmp_path / "a.npy", images)
    assert [f.code for f in audit(tmp_path / "a.npy").findings] == ["near-grey"]
    repair(tmp_path / "a.npy", tmp_path / "out")
    assert np.array_equal(audit(tmp_path / "out").images.images, luma(images))


def test_score_warns_and_keeps_the_value(tmp_path, mnist: RealSample):
    exact, near = mnist.images[:40], _rgb(mnist.images[:40], [1, 2] * 4)
    values = []
    for name, images in (("exact", exact), ("near", near)):
        folder = _folder(tmp_path / name, images)
        record = bench.score(folder, reference="mnist", metrics=("fid",), use_cache=False)
        values.append(record.value("fid"))
    warnings = [finding.code for finding in record.findings if finding.severity == "warning"]
    assert warnings == ["near-grey", "few-images"]
    assert values[0] == values[1]


def test_colour_of_an_image_beyond_the_sample():
    images = np.zeros((3, 9, 9, 3), np.uint8)
    images[1, 5, 5, 1] = 2
    images[2, 7, 3, 0] = 200
    assert colour_of(images).tolist() == [0, 2, 200]
    assert colour_of(images[..., :1]).tolist() == [0, 0, 0]
