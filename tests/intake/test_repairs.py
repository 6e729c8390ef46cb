"""`repair` writes the images that need no guess and lists the others."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from PIL import Image

from bench.errors import UsageError
from bench.intake import audit, load_spec, repair
from bench.intake.repairs import target_names
from tests.intake.pictures import digit, encode, make_folder

COLOUR = np.stack([digit(1), digit(2), digit(3)], axis=-1)


@pytest.fixture
def mess(tmp_path):
    folder = make_folder(tmp_path / "mess", 2)
    grey = Image.fromarray(digit(5))
    files = {
        "palette.png": encode(grey.convert("P")),
        "opaque.png": encode(grey.convert("RGBA")),
        "rgb.png": encode(grey.convert("RGB")),
        "bits.png": encode(Image.fromarray(digit(5)).convert("1")),
        "lossless.bmp": encode(COLOUR, "BMP"),
        "misnamed.png": encode(COLOUR, "TIFF"),
        "jpeg.jpg": encode(grey, "JPEG"),
        "jpeg.png": encode(grey, "JPEG"),
        "deep.png": encode(np.zeros((28, 28), np.uint16)),
        "alpha.png": encode(Image.new("RGBA", (28, 28), (1, 2, 3, 4))),
        "cut.png": encode(digit(6))[:-30],
        "notes.txt": b"x",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def by_code(findings):
    return {finding.code: finding.examples for finding in findings}


BROKEN = ("deep.png", "alpha.png", "cut.png")


def test_repair(mess, tmp_path):
    for name in BROKEN:
        (mess / name).unlink()
    out = tmp_path / "fixed"
    report = repair(mess, out)
    assert report.num_written == report.num_images == len(list(out.iterdir())) == 10
    assert by_code(report.converted) == {
        "palette": ("palette.png",),
        "alpha-opaque": ("opaque.png",),
        # Both converters go through RGB, so they count here as well.
        "grey-as-rgb": ("opaque.png", "palette.png", "rgb.png"),
        "low-bit-depth": ("bits.png",),
        "lossless-format": ("lossless.bmp",),
        "wrong-format": ("misnamed.png",),
        "lossy-format": ("jpeg.jpg", "jpeg.png"),
    }
    assert by_code(report.refused) == {"junk-file": ("notes.txt",)}
    for name in ("palette", "opaque", "rgb"):
        image = Image.open(out / f"{name}.png")
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), digit(5))
    for name in ("lossless", "misnamed"):
        assert np.array_equal(np.asarray(Image.open(out / f"{name}.png")), COLOUR)
    jpeg = np.asarray(Image.open(mess / "jpeg.jpg"))
    for name in ("jpeg.png", "jpeg-2.png"):
        assert np.array_equal(np.asarray(Image.open(out / name)), jpeg)
    again = audit(out)
    assert again.valid
    assert [f.code for f in again.findings] == ["mixed-modes"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fixed", "mess"]


def test_a_copy_has_all_images_or_is_not_written(mess, tmp_path):
    report = repair(mess, tmp_path / "fixed")
    assert (report.out, report.num_written, report.num_images) == (None, 0, 13)
    assert by_code(report.refused) == {
        "bit-depth-16": ("deep.png",),
        "alpha": ("alpha.png",),
        "png-truncated": ("cut.png",),
        "junk-file": ("notes.txt",),
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mess"]


def test_a_spec_refuses_what_it_does_not_accept(mess, tmp_path):
    for name in BROKEN:
        (mess / name).unlink()
    (mess / "large.png").write_bytes(encode(digit(1, 32)))
    spec = load_spec("mnist-10k").model_copy(update={"count": None})
    report = repair(mess, tmp_path / "fixed", spec=spec)
    assert report.out is None
    assert by_code(report.refused) == {
        "wrong-size": ("large.png",),
        "wrong-mode": ("lossless.bmp", "misnamed.png"),
        "lossy-format": ("jpeg.jpg", "jpeg.png"),
        "junk-file": ("notes.txt",),
    }
    for name in ("large.png", "lossless.bmp", "misnamed.png", "jpeg.jpg", "jpeg.png"):
        (mess / name).unlink()
    assert repair(mess, tmp_path / "fixed", spec=spec).num_written == 6
    assert audit(tmp_path / "fixed", spec=spec).findings == ()


def test_a_spec_that_names_jpeg_accepts_its_loss(tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(encode(digit(2), "JPEG"))
    spec = load_spec("mnist-10k").model_copy(update={"count": 1, "formats": ("jpeg", "png")})
    assert repair(folder, tmp_path / "out", spec=spec).num_written == 1
    (folder / "a.jpg").rename(folder / "a.png")
    assert repair(folder, tmp_path / "again", spec=spec).out is None


def test_a_good_folder_is_copied_with_the_same_pixels(tmp_path):
    folder = make_folder(tmp_path / "s", 3)
    report = repair(folder, tmp_path / "deep" / "out")
    assert (report.num_written, report.converted, report.refused) == (3, (), ())
    assert audit(tmp_path / "deep" / "out").images.digest == audit(folder).images.digest


def test_rgb_spec_gets_rgb_files(tmp_path):
    folder = make_folder(tmp_path / "s", 3)
    spec = load_spec("mnist-10k").model_copy(update={"mode": "rgb", "count": 3})
    assert repair(folder, tmp_path / "out", spec=spec).num_written == 3
    assert audit(tmp_path / "out", spec=spec).valid


def test_zip_and_arrays(tmp_path):
    folder = make_folder(tmp_path / "s", 3)
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"s/{path.name}")
        archive.writestr("../evil.png", b"x")
    report = repair(tmp_path / "s.zip", tmp_path / "from_zip")
    assert (report.out, report.num_images) == (None, 4)
    assert by_code(report.refused) == {"zip-unsafe-path": ("../evil.png",)}
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"s/{path.name}")
    assert repair(tmp_path / "s.zip", tmp_path / "from_zip").num_written == 3
    np.save(tmp_path / "a.npy", np.stack([digit(i) for i in range(3)]))
    assert repair(tmp_path / "a.npy", tmp_path / "from_npy").num_written == 3
    expected = audit(folder).images.pixel_digest
    for name in ("from_zip", "from_npy"):
        assert audit(tmp_path / name).images.pixel_digest == expected


def test_nothing_to_write_leaves_no_folder(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.png").write_bytes(b"broken")
    report = repair(tmp_path / "s", tmp_path / "out")
    assert (report.num_written, report.out) == (0, None)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s"]


def test_targets_that_are_refused(tmp_path):
    folder = make_folder(tmp_path / "s", 1)
    with pytest.raises(UsageError, match="lies inside the submission"):
        repair(folder, folder / "out")
    with pytest.raises(UsageError, match="exists"):
        repair(folder, make_folder(tmp_path / "full", 1))
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="exists"):
        repair(folder, tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="exists"):
        repair(folder, tmp_path / "link")
    spec = load_spec("mnist-10k").model_copy(update={"formats": ("bmp",)})
    with pytest.raises(UsageError, match="does not accept png"):
        repair(folder, tmp_path / "out", spec=spec)
    (tmp_path / "empty").mkdir()
    assert repair(folder, tmp_path / "empty").num_written == 1


def test_an_interrupted_repair_leaves_nothing(tmp_path):
    folder = make_folder(tmp_path / "s", 3)

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repair(folder, tmp_path / "out", progress=interrupt)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s"]


def test_target_names_are_safe_and_unique():
    names = [b"a.bmp", b"a.png", b"\xff.png", b"x\\..\\y.png", b"caf\xc3\xa9.png", b"..png"]
    assert target_names(names) == [
        "a.png", "a-2.png", "_xff.png", "x_.._y.png", "café.png", "..png"
    ]  # fmt: skip
