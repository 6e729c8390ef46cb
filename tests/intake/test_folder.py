"""Folders with every known fault, through `audit` with its real processes."""

from __future__ import annotations

import errno
import os
import socket

import numpy as np
import pytest
from PIL import Image

from bench.errors import InvalidSubmission, NothingFoundError, UsageError
from bench.intake import SubmissionSpec, audit, load_spec, read_images, reading, sources
from bench.intake.folder import list_folder
from bench.intake.formats import MAX_FILE_BYTES, Rejected
from bench.intake.worker import read_file
from tests.intake.pictures import chunk, digit, encode, header, make_folder, raw_png

SPEC = SubmissionSpec(name="three", count=3, width_px=28, height_px=28, mode="grey")


def codes(report) -> dict[str, int]:
    return {finding.code: finding.count for finding in report.findings}


def only(report):
    (finding,) = report.findings
    return finding


def test_a_good_folder(tmp_path):
    report = audit(make_folder(tmp_path / "s", 3), spec=SPEC)
    assert report.valid
    assert report.findings == ()
    assert (report.kind, report.num_files) == ("folder", 3)
    assert report.images.images.dtype == np.uint8
    assert report.images.images.shape == (3, 28, 28, 1)
    assert report.images.names == ("0000.png", "0001.png", "0002.png")
    for i in range(3):
        assert np.array_equal(report.images.images[i, ..., 0], digit(i))


def test_missing_folder(tmp_path):
    with pytest.raises(UsageError, match="does not exist") as caught:
        audit(tmp_path / "nowhere")
    assert caught.value.exit_code == 4


def test_file_for_a_folder(tmp_path):
    path = tmp_path / "one.png"
    path.write_bytes(encode(digit(0)))
    with pytest.raises(UsageError, match=r"single file.*folder or a \.zip"):
        audit(path)


def test_device_for_a_folder():
    with pytest.raises(UsageError, match="neither a folder nor an ordinary file"):
        audit(os.devnull)


def test_empty_folder(tmp_path):
    with pytest.raises(NothingFoundError, match="no image file") as caught:
        audit(tmp_path)
    assert caught.value.exit_code == 5


def test_folder_without_images_names_its_subfolders(tmp_path):
    make_folder(tmp_path / "samples", 2)
    (tmp_path / "readme.txt").write_text("hello")
    with pytest.raises(NothingFoundError, match="such as samples: give one of them"):
        audit(tmp_path)


@pytest.mark.parametrize(("option", "value"), [("limit", 0), ("num_workers", -1)])
def test_options_out_of_range(tmp_path, option, value):
    with pytest.raises(UsageError, match=f"{option} must be at least 1"):
        audit(tmp_path, **{option: value})


@pytest.mark.parametrize(
    ("num_images", "detail", "count"), [(2, "1 missing", 1), (5, "2 too many", 2)]
)
def test_wrong_count(tmp_path, num_images, detail, count):
    finding = only(audit(make_folder(tmp_path / "s", num_images), spec=SPEC))
    assert (finding.code, finding.severity, finding.count) == ("wrong-count", "error", count)
    assert f"{num_images} images, expected 3 ({detail})" in finding.message


def test_mixed_sizes_come_with_a_table(tmp_path):
    make_folder(tmp_path, 3)
    (tmp_path / "a.png").write_bytes(encode(digit(1, 32)))
    (tmp_path / "b.png").write_bytes(encode(np.zeros((10, 20), np.uint8)))
    report = audit(tmp_path)
    finding = only(report)
    assert (finding.code, finding.count) == ("mixed-sizes", 2)
    assert finding.examples == ("a.png", "b.png")
    assert finding.message.endswith("28x28 px: 3; 20x10 px: 1; 32x32 px: 1")
    assert report.images is None


def test_wrong_size(tmp_path):
    make_folder(tmp_path, 3, size=32)
    finding = only(audit(tmp_path, spec=SPEC))
    assert (finding.code, finding.count) == ("wrong-size", 3)
    assert "32x32 px: 3 (expected 28x28 px)" in finding.message


def test_wrong_mode(tmp_path):
    make_folder(tmp_path, 2)
    colour = np.stack([digit(0), digit(1), digit(2)], axis=-1)
    (tmp_path / "c.png").write_bytes(encode(colour))
    finding = only(audit(tmp_path, spec=SPEC))
    assert (finding.code, finding.examples) == ("wrong-mode", ("c.png",))
    rgb = SubmissionSpec(name="rgb", mode="rgb")
    assert only(audit(tmp_path, spec=rgb)).examples == ("0000.png", "0001.png")
    lenient = audit(tmp_path)
    assert codes(lenient) == {"mixed-modes": 2}
    assert lenient.images.images.shape == (3, 28, 28, 3)
    assert np.array_equal(lenient.images.images[2], colour)
    assert np.array_equal(lenient.images.images[1], np.repeat(digit(1)[..., None], 3, axis=2))


def broken_files() -> dict[str, tuple[bytes, str]]:
    whole = encode(digit(0))
    grey = Image.fromarray(digit(0))
    frames = [Image.fromarray(digit(i)) for i in range(2)]
    flipped = bytearray(whole)
    flipped[60] ^= 4
    half = raw_png(header(28, 28), bytes(29 * 14))
    return {
        "empty": (b"", "empty-file"),
        "text": (b"this is no image", "not-an-image"),
        "truncated": (whole[: len(whole) // 2], "png-truncated"),
        "flipped": (bytes(flipped), "png-damaged"),
        "half rows": (half, "png-half-rows"),
        "16-bit": (encode(np.arange(784, dtype=np.uint16).reshape(28, 28) * 80), "bit-depth-16"),
        "palette": (encode(grey.convert("P")), "palette"),
        "alpha": (encode(Image.new("RGBA", (28, 28), (9, 9, 9, 128))), "alpha"),
        "opaque alpha": (encode(grey.convert("RGBA")), "alpha-opaque"),
        "animated": (encode(frames[0], save_all=True, append_images=frames[1:]), "animated"),
        "JPEG": (encode(grey, "JPEG"), "wrong-format"),
        "GIF": (encode(grey, "GIF"), "wrong-format"),
        "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "wrong-format"),
        "bomb": (raw_png(header(50_000, 50_000), b""), "image-bomb"),
        "trailing": (whole + b"#!/bin/sh", "png-trailing"),
        "structure": (raw_png(header(28, 28), bytes(29 * 28), chunk(b"XYZW")), "png-structure"),
    }


@pytest.mark.parametrize(("data", "code"), broken_files().values(), ids=broken_files().keys())
def test_broken_file(tmp_path, data, code):
    make_folder(tmp_path, 2)
    (tmp_path / "broken.png").write_bytes(data)
    report = audit(tmp_path, spec=SPEC)
    finding = only(report)
    assert (finding.code, finding.severity, finding.count) == (code, "error", 1)
    assert finding.examples == ("broken.png",)
    assert finding.fix
    assert not report.valid
    assert report.num_files == 3
    with pytest.raises(InvalidSubmission, match=rf"{code} \(1\)") as caught:
        read_images(tmp_path, spec=SPEC)
    assert caught.value.exit_code == 1
    assert caught.value.findings == report.findings


def test_all_problems_in_one_pass(tmp_path):
    make_folder(tmp_path, 20)
    for i in range(7):
        (tmp_path / f"{i:04d}.png").write_bytes(encode(digit(i))[:-20])
    for i in (8, 9):
        (tmp_path / f"{i:04d}.png").write_bytes(encode(np.zeros((28, 28), np.uint16)))
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "inner").mkdir()
    (tmp_path / ".DS_Store").write_bytes(b"x")
    report = audit(tmp_path, spec=load_spec("mnist-10k"))
    assert codes(report) == {
        "wrong-count": 9980,
        "nested-folder": 1,
        "junk-file": 1,
        "png-truncated": 7,
        "bit-depth-16": 2,
        "ignored-file": 1,
    }
    severities = [finding.severity for finding in report.findings]
    assert severities == ["error"] * 5 + ["info"]
    truncated = next(f for f in report.findings if f.code == "png-truncated")
    assert truncated.examples == tuple(f"{i:04d}.png" for i in range(5))


def test_junk_and_nested_folders(tmp_path):
    make_folder(tmp_path, 3)
    (tmp_path / "labels.csv").write_text("x")
    junk = only(audit(tmp_path))
    assert (junk.code, junk.severity, junk.examples) == ("junk-file", "warning", ("labels.csv",))
    assert only(audit(tmp_path, spec=SPEC)).severity == "error"
    (tmp_path / "labels.csv").unlink()
    (tmp_path / "a.png").mkdir()  # a folder named like an image is a folder
    nested = only(audit(tmp_path))
    assert (nested.code, nested.severity, nested.examples) == ("nested-folder", "error", ("a.png",))


def test_symlinks_are_not_followed(tmp_path):
    make_folder(tmp_path, 2)
    (tmp_path / "passwd.png").symlink_to("/etc/passwd")
    (tmp_path / "same.png").symlink_to(tmp_path / "0000.png")
    finding = only(audit(tmp_path))
    assert (finding.code, finding.examples) == ("symlink", ("passwd.png", "same.png"))


def test_pipes_and_sockets_do_not_hang(tmp_path, monkeypatch):
    make_folder(tmp_path, 2)
    os.mkfifo(tmp_path / "pipe.png")
    monkeypatch.chdir(tmp_path)  # a socket's path may have no more than about 100 characters
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
    finding = only(audit(tmp_path))
    assert (finding.code, finding.examples) == ("not-regular", ("pipe.png", "socket.png"))


class TestReadFile:
    """The worker checks again, because a folder may change after it was listed."""

    @pytest.fixture
    def folder(self, tmp_path):
        fd = os.open(tmp_path, os.O_RDONLY)
        yield fd
        os.close(fd)

    def refusal(self, name, folder, **options):
        with pytest.raises(Rejected) as caught:
            read_file(name, folder, **options)
        return caught.value.code, caught.value.detail

    def test_permission_denied(self, folder):
        def denied(*_args, **_options):
            raise PermissionError(errno.EACCES, "Permission denied")

        assert self.refusal(b"a", folder, opener=denied) == ("unreadable", "Permission denied")

    def test_file_that_vanished(self, folder):
        assert self.refusal(b"a", folder) == ("unreadable", "No such file or directory")

    def test_file_that_became_something_else(self, tmp_path, folder):
        (tmp_path / "link").symlink_to("/etc/passwd")
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "dir").mkdir()
        assert self.refusal(b"link", folder)[0] == "symlink"
        assert self.refusal(b"pipe", folder)[0] == "not-regular"
        assert self.refusal(b"dir", folder)[0] == "not-regular"

    def test_file_too_large(self, tmp_path, folder):
        with (tmp_path / "large").open("wb") as stream:
            stream.truncate(MAX_FILE_BYTES + 1)  # sparse: takes no space
        assert self.refusal(b"large", folder)[0] == "file-too-large"


def test_unreadable_file_is_named(tmp_path, monkeypatch):
    """Root may read every file, so this one is deleted between listing and reading."""
    make_folder(tmp_path, 3)

    def list_and_remove(*args, **options):
        listing = list_folder(*args, **options)
        (tmp_path / "0001.png").unlink()
        return listing

    monkeypatch.setattr(sources, "list_folder", list_and_remove)
    finding = only(audit(tmp_path))
    assert (finding.code, finding.examples) == ("unreadable", ("0001.png",))
    assert "No such file" in finding.message


def test_hostile_names_are_harmless(tmp_path):
    for name in (b"\xff\xfe.png", b"[bold].png", b"<script>.png", b"a\x1b[2J.png", b"=1+1.png"):
        (tmp_path / os.fsdecode(name)).write_bytes(encode(digit(1)))
    report = audit(tmp_path)
    finding = only(report)
    assert (finding.code, finding.severity, finding.count) == ("bad-name", "warning", 2)
    assert finding.examples == (r"a\x1b[2J.png", r"\xff\xfe.png")
    # Sorted by the raw bytes: < 3c, = 3d, [ 5b, a 61, ff.
    expected = ("<script>.png", "=1+1.png", "[bold].png", r"a\x1b[2J.png", r"\xff\xfe.png")
    assert report.images.names == expected
    for text in (*report.images.names, finding.message, report.source):
        text.encode("utf-8")


@pytest.mark.parametrize(
    ("format_name", "extension", "expected"),
    [
        ("BMP", "bmp", {}),
        ("TIFF", "tif", {}),
        ("TIFF", "TIFF", {}),
        ("JPEG", "jpg", {"lossy-format": 3}),
        ("JPEG", "JPEG", {"lossy-format": 3}),
        ("WEBP", "webp", {"lossy-format": 3}),
    ],
)
def test_other_formats_are_read_without_a_spec(tmp_path, format_name, extension, expected):
    images = [np.stack([digit(i), digit(i + 9), digit(i + 18)], -1) for i in range(3)]
    for i, image in enumerate(images):
        (tmp_path / f"{i}.{extension}").write_bytes(encode(image, format_name))
    report = audit(tmp_path)
    assert codes(report) == expected
    if not expected:
        assert np.array_equal(report.images.images, np.stack(images))
    strict = audit(tmp_path, spec=SPEC)
    assert codes(strict) == {"format-not-allowed": 3}
    assert "expected PNG" in only(strict).message


def test_lossless_webp_is_exact(tmp_path):
    image = np.stack([digit(1), digit(2), digit(3)], -1)
    (tmp_path / "a.webp").write_bytes(encode(image, "WEBP", lossless=True))
    report = audit(tmp_path)
    assert report.findings == ()
    assert np.array_equal(report.images.images[0], image)


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.jpg", encode(digit(0), "JPEG")[:300], "image-damaged"),
        ("a.tif", encode(digit(0).astype(np.float32), "TIFF"), "bit-depth-16"),
        ("a.jpg", encode(Image.new("CMYK", (28, 28)), "JPEG"), "colour-space"),
        ("a.bmp", encode(Image.new("RGB", (8, 8), "red").quantize(4), "BMP"), "palette"),
        ("a.bmp", b"BM" + bytes(60), "image-damaged"),
        ("a.tif", b"II*\0" + b"\xff" * 60, "image-damaged"),
    ],
)
def test_other_formats_that_are_refused(tmp_path, name, data, code):
    (tmp_path / name).write_bytes(data)
    assert codes(audit(tmp_path)) == {code: 1}


def test_low_bit_depth_is_an_error_only_with_a_spec(tmp_path):
    make_folder(tmp_path, 2)
    (tmp_path / "b.png").write_bytes(encode(Image.fromarray(digit(1)).convert("1")))
    assert only(audit(tmp_path)).severity == "info"
    strict = only(audit(tmp_path, spec=SPEC))
    assert (strict.code, strict.severity) == ("low-bit-depth", "error")


def test_limit_reads_the_first_files(tmp_path):
    make_folder(tmp_path, 5)
    (tmp_path / "0004.png").write_bytes(b"broken")
    report = audit(tmp_path, limit=2)
    assert report.valid
    assert report.num_files == 5
    assert report.images.names == ("0000.png", "0001.png")


def test_progress_and_workers_do_not_change_the_result(tmp_path):
    make_folder(tmp_path, 30)
    (tmp_path / "0007.png").write_bytes(encode(digit(7))[:-3])
    calls = []
    reports = [
        audit(tmp_path, num_workers=k, progress=lambda done, total: calls.append((done, total)))
        for k in (1, 3, 7)
    ]
    assert reports[0] == reports[1] == reports[2]
    assert calls[-1] == (30, 30)
    assert all(total == 30 for _, total in calls)


def test_unreadable_folder(tmp_path, monkeypatch):
    def denied(_path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(UsageError, match="cannot be read: Permission denied"):
        audit(tmp_path)


def test_colour_images_of_a_size_that_pillow_decodes(tmp_path):
    images = [np.stack([digit(i + k, 90) for k in range(3)], -1) for i in range(3)]
    for i, image in enumerate(images):
        (tmp_path / f"{i}.png").write_bytes(encode(image))
    report = audit(tmp_path)
    assert report.findings == ()
    assert np.array_equal(report.images.images, np.stack(images))


def test_too_much_data(tmp_path, monkeypatch):
    make_folder(tmp_path, 5)
    monkeypatch.setattr(reading, "MAX_TOTAL_BYTES", 3 * 784)
    assert codes(audit(tmp_path)) == {"too-much-data": 1}
