"""Sizes as people write them, and images resized to them exactly as Pillow does."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.errors import UsageError
from bench.intake import ImageStream, Size, SubmissionSpec, audit, parse_size, read_images
from tests.intake.pictures import digit, encode, make_folder

COLOUR = np.stack([digit(i, 90) for i in range(3)], axis=-1)  # 90x90 RGB, more than 4096 bytes
SMALL_COLOUR = np.stack([digit(i) for i in range(3)], axis=-1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("64x48", (48, 64)),
        ("64X48", (48, 64)),
        (" 64x48\n", (48, 64)),
        ("64", (64, 64)),
        ("8x2048", (2048, 8)),
    ],
)
def test_width_comes_first(text, expected):
    size = parse_size(text)
    assert size == expected
    assert (size.height, size.width) == expected


@pytest.mark.parametrize(
    "text", ["", "x", "64x", "x48", "64x48x3", "6.4", "-64", "64 x 48", "٦٤", "9" * 5000, "64px"]
)
def test_what_is_no_size(text):
    with pytest.raises(UsageError, match="expected WIDTHxHEIGHT in pixels, such as 64x48"):
        parse_size(text)


@pytest.mark.parametrize("text", ["7", "64x7", "7x64", "2049", "64x2049", "0", "999999999"])
def test_sizes_out_of_range(tmp_path, text):
    width, _, height = text.partition("x")
    shown = rf"{width}x{height or width} px .*each side must be 8 to 2048 px"
    with pytest.raises(UsageError, match=shown):
        parse_size(text)
    make_folder(tmp_path, 1)
    size = (int(height or width), int(width))
    for read in (audit, read_images, ImageStream):
        with pytest.raises(UsageError, match=shown):
            read(tmp_path, resize=size)


@given(st.integers(8, 2048), st.integers(8, 2048))
def test_every_size_in_range_is_read(width, height):
    assert parse_size(f"{width}x{height}") == Size(height=height, width=width)


def test_a_spec_and_a_size_exclude_each_other(tmp_path):
    make_folder(tmp_path, 1)
    spec = SubmissionSpec(name="any-size")
    for read in (audit, read_images, ImageStream):
        with pytest.raises(UsageError, match="resize to 64x48 px: spec any-size"):
            read(tmp_path, spec=spec, resize=(48, 64))


def by_hand(path: Path, height: int, width: int) -> np.ndarray:
    """Return one image (uint8 H,W,C), read and resized by Pillow alone."""
    with Image.open(path) as opened:
        opened.load()
        image = opened.copy()
    image = image.convert("L") if image.mode == "1" else image
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    array = np.asarray(image)
    return array[..., None] if array.ndim == 2 else array


def assert_as_by_hand(folder: Path, source: Path, height: int, width: int):
    """Check `source`, which holds the files of `folder`, against Pillow; return the report."""
    report = audit(source, resize=(height, width))
    images = report.images.images
    expected = [by_hand(path, height, width) for path in sorted(folder.iterdir())]
    assert images.shape[:3] == (len(expected), height, width)
    for image, wanted in zip(images, expected, strict=True):
        assert np.array_equal(image, np.broadcast_to(wanted, image.shape))
    with ImageStream(source, resize=(height, width)) as stream:
        blocks = [np.broadcast_to(b, (*b.shape[:3], images.shape[3])) for b in stream]
    assert np.array_equal(np.concatenate(blocks), images)
    assert (stream.report.identity, stream.report.findings) == (report.identity, report.findings)
    return report


FILES = {
    "grey.png": encode(digit(0)),
    "large-grey.png": encode(digit(1, 200)),
    "rgb.png": encode(SMALL_COLOUR),
    "large-rgb.png": encode(COLOUR),
    "bits.png": encode(Image.fromarray(digit(2, 40)).convert("1")),
    "photo.jpg": encode(COLOUR, "JPEG"),
    "grey.jpg": encode(digit(3, 40), "JPEG"),
    "lossless.webp": encode(COLOUR, "WEBP", lossless=True),
    "plain.bmp": encode(COLOUR, "BMP"),
    "plain.tif": encode(digit(4, 40), "TIFF"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("height", "width"), [(28, 28), (40, 24), (8, 8), (120, 130)])
def test_each_kind_of_file(tmp_path, name, height, width):
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / name).write_bytes(FILES[name])
    report = assert_as_by_hand(folder, folder, height, width)
    found = {finding.code: finding for finding in report.findings}
    assert report.valid
    with Image.open(folder / name) as opened:
        assert ("resized" in found) == (opened.size != (width, height))


def test_a_folder_of_all_kinds_and_its_zip(tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    report = assert_as_by_hand(folder, folder, 28, 28)
    zipped = assert_as_by_hand(folder, tmp_path / "s.zip", 28, 28)
    assert zipped.identity == report.identity
    found = {finding.code: finding for finding in report.findings}
    assert found["lossy-format"].examples == ("grey.jpg", "photo.jpg")
    assert found["low-bit-depth"].count == 1
    resized = found["resized"]
    assert (resized.severity, resized.count) == ("info", 8)
    assert resized.examples == (
        "bits.png", "grey.jpg", "large-grey.png", "large-rgb.png", "lossless.webp"
    )  # fmt: skip
    # 90x90: large-rgb, photo, lossless, plain.bmp; 40x40: bits, grey.jpg, plain.tif.
    assert resized.message.endswith(": 90x90 px: 4; 40x40 px: 3; 200x200 px: 1 (to 28x28 px)")


@pytest.mark.parametrize("num_workers", [1, 3])
def test_images_of_that_size_stay_exact(tmp_path, num_workers):
    folder = make_folder(tmp_path / "s", 9)
    plain = audit(folder)
    (folder / "9.png").write_bytes(encode(digit(9, 30)))
    mixed = audit(folder)
    (finding,) = mixed.findings
    assert finding.code == "mixed-sizes"
    assert "`--resize WIDTHxHEIGHT`" in finding.fix
    report = audit(folder, resize=(28, 28), num_workers=num_workers)
    assert report.valid
    assert np.array_equal(report.images.images[:9], plain.images.images)
    assert [(f.code, f.examples) for f in report.findings] == [("resized", ("9.png",))]
    (folder / "9.png").unlink()
    assert audit(folder, resize=(28, 28)) == plain


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3])),
    height=st.integers(8, 60),
    width=st.integers(8, 60),
)
def test_folder_and_arrays_give_the_same(tmp_path_factory, shape, height, width):
    root = tmp_path_factory.mktemp("resized")
    images = np.random.default_rng(0).integers(0, 256, (5, *shape), dtype=np.uint8)
    (root / "s").mkdir()
    for i, image in enumerate(images):
        squeezed = image[..., 0] if shape[2] == 1 else image
        (root / "s" / f"{i}.png").write_bytes(encode(squeezed))
    np.save(root / "a.npy", images)
    np.savez(root / "a.npz", images)
    by_files = assert_as_by_hand(root / "s", root / "s", height, width)
    for name in ("a.npy", "a.npz"):
        report = assert_as_by_hand(root / "s", root / name, height, width)
        assert report.identity.pixel_digest == by_files.identity.pixel_digest
        assert [(f.code, f.count, f.message) for f in report.findings] == [
            (f.code, f.count, f.message) for f in by_files.findings
        ]


def test_arrays_larger_than_a_block(tmp_path):
    """30 images of 120,000 bytes are more than 4 MiB when enlarged twice."""
    images = np.random.default_rng(0).integers(0, 256, (30, 200, 200, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", images)
    report = audit(tmp_path / "a.npy", resize=(400, 400), limit=20)
    (finding,) = report.findings
    assert (finding.code, finding.count) == ("resized", 20)
    wanted = Image.fromarray(images[19]).resize((400, 400), Image.Resampling.BICUBIC)
    assert np.array_equal(report.images.images[19], np.asarray(wanted))


def test_a_damaged_file_is_still_found(tmp_path):
    folder = make_folder(tmp_path / "s", 6)
    (folder / "0002.png").write_bytes(encode(digit(2))[:-20])
    (folder / "0003.png").write_bytes(encode(COLOUR)[:-20])
    (folder / "0004.jpg").write_bytes(encode(COLOUR, "JPEG")[:300])
    report = audit(folder, resize=(32, 32))
    assert report.images is None
    found = {finding.code: (finding.count, finding.examples) for finding in report.findings}
    assert found == {
        "png-truncated": (2, ("0002.png", "0003.png")),
        "image-damaged": (1, ("0004.jpg",)),
        "resized": (4, ("0000.png", "0001.png", "0004.png", "0005.png")),
    }
