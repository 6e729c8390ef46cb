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


def test_repair(mess, tmp_path):
    out = tmp_path / "fixed"
    report = repair(mess, out)
    assert report.num_written == 8
    assert by_code(report.converted) == {
        "palette": ("palette.png",),
        "alpha-opaque": ("opaque.png",),
        # Both converters go through RGB, so they count here as well.
        "grey-as-rgb": ("opaque.png", "palette.png", "rgb.png"),
        "low-bit-depth": ("bits.png",),
        "lossless-format": ("lossless.bmp",),
        "wrong-format": ("misnamed.png",),
    }
    assert by_code(report.left_out) == {
        "lossy-format": ("jpeg.jpg",),
        "wrong-format": ("jpeg.png",),
        "bit-depth-16": ("deep.png",),
        "alpha": ("alpha.png",),
        "png-truncated": ("cut.png",),
        "junk-file": ("notes.txt",),
    }
    for name in ("palette", "opaque", "rgb"):
        image = Image.open(out / f"{name}.png")
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), digit(5))
    for name in ("lossless", "misnamed"):
        assert np.array_equal(np.asarray(Image.open(out / f"{name}.png")), COLOUR)
    again = audit(out)
    assert again.valid
    assert [f.code for f in again.findings] == ["mixed-modes"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fixed", "mess"]


def test_a_spec_leaves_out_what_it_does_not_accept(mess, tmp_path):
    (mess / "large.png").write_bytes(encode(digit(1, 32)))
    report = repair(mess, tmp_path / "fixed", spec=load_spec("mnist-10k"))
    left_out = by_code(report.left_out)
    assert left_out["wrong-size"] == ("large.png",)
    assert left_out["wrong-mode"] == ("lossless.bmp", "misnamed.png")
    codes = [f.code for f in audit(tmp_path / "fixed", spec=load_spec("mnist-10k")).findings]
    assert codes == ["wrong-count"]


def test_a_good_folder_is_copied_with_the_same_pixels(tmp_path):
    folder = make_folder(tmp_path / "s", 3)
    report = repair(folder, tmp_path / "deep" / "out")
    assert (report.num_written, report.converted, report.left_out) == (3, (), ())
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
    assert report.num_written == 3
    assert by_code(report.left_out) == {"zip-unsafe-path": ("../evil.png",)}
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
