"""npz, npy and idx files, correct and hostile."""

from __future__ import annotations

import gzip
import struct
import zipfile

import numpy as np
import pytest

from bench.errors import NothingFoundError
from bench.intake import SubmissionSpec, arrays, audit, npz
from tests.intake.pictures import digit

DIGITS = np.stack([digit(i) for i in range(12)])  # uint8 12,28,28
COLOUR = np.stack([DIGITS[:4], DIGITS[4:8], DIGITS[8:]], axis=-1)


def save(tmp_path, name, array, **options):
    path = tmp_path / name
    (np.savez_compressed if name.endswith("npz") else np.save)(path, array, **options)
    return path


def code(path, **options) -> str:
    (finding,) = audit(path, **options).findings
    assert (finding.severity, finding.examples[:1]) == ("error", (path.name,))
    return finding.code


@pytest.mark.parametrize("kind", ["npy", "npz"])
@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (DIGITS, DIGITS[..., None]),
        (DIGITS[..., None], DIGITS[..., None]),
        (COLOUR, COLOUR),
        (np.repeat(DIGITS[..., None], 3, axis=3), DIGITS[..., None]),
        (np.asfortranarray(COLOUR), COLOUR),
    ],
    ids=["N,H,W", "N,H,W,1", "colour", "R=G=B", "Fortran order"],
)
def test_good_arrays(tmp_path, kind, array, expected):
    report = audit(save(tmp_path, f"a.{kind}", array))
    assert report.valid
    assert (report.kind, report.num_files) == (kind, len(array))
    assert np.array_equal(report.images.images, expected)
    assert report.images.images.flags.c_contiguous


def test_names_are_indices_that_sort(tmp_path):
    names = audit(save(tmp_path, "a.npy", DIGITS)).images.names
    assert names[:2] == ("00", "01")
    assert list(names) == sorted(names)
    assert audit(tmp_path / "a.npy", limit=3).images.names == ("00", "01", "02")


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "a.idx", "x-ubyte.gz"])
def test_idx(tmp_path, name):
    data = b"\0\0\x08\x03" + struct.pack(">III", 12, 28, 28) + DIGITS.tobytes()
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    report = audit(path)
    assert report.kind == "idx"
    assert np.array_equal(report.images.images[..., 0], DIGITS)
    labels = b"\0\0\x08\x01" + struct.pack(">I", 12) + bytes(12)
    path.write_bytes(gzip.compress(labels) if name.endswith("gz") else labels)
    assert code(path) == "array-shape"
    path.write_bytes(path.read_bytes()[:-9])
    assert code(path) == "array-damaged"


def test_objects_are_never_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    array = np.array([Bomb()], dtype=object)
    for name in ("a.npy", "a.npz"):
        assert code(save(tmp_path, name, array)) == "array-objects"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "bool", "<U3"])
def test_other_dtypes_are_refused_with_a_fix(tmp_path, dtype):
    path = save(tmp_path, "a.npz", DIGITS.astype(dtype))
    assert code(path) == "array-dtype"
    (finding,) = audit(path).findings
    assert "0..255" in finding.fix
    assert "round" in finding.fix


def test_nan_is_counted_and_named(tmp_path):
    array = DIGITS.astype(np.float32)
    array[3, 5, 5] = np.nan
    array[7, 0, 0] = np.inf
    report = audit(save(tmp_path, "a.npy", array))
    found = {f.code: (f.count, f.examples) for f in report.findings}
    assert found == {"array-dtype": (1, ("a.npy",)), "array-nan": (2, ("03", "07"))}


@pytest.mark.parametrize(
    "shape", [(28,), (28, 28), (4, 28, 28, 2), (4, 28, 28, 4), (2, 1, 28, 28, 1), (4, 0, 28), ()]
)
def test_other_shapes_are_refused(tmp_path, shape):
    assert code(save(tmp_path, "a.npy", np.zeros(shape, np.uint8))) == "array-shape"


def test_channels_first_gets_the_line_that_helps(tmp_path):
    path = save(tmp_path, "a.npy", DIGITS[:, None])
    (finding,) = audit(path).findings
    assert finding.code == "array-shape"
    assert "transpose(0, 2, 3, 1)" in finding.message


def test_no_images(tmp_path):
    with pytest.raises(NothingFoundError, match="0 images"):
        audit(save(tmp_path, "a.npy", np.zeros((0, 28, 28), np.uint8)))
    with zipfile.ZipFile(tmp_path / "b.npz", "w"):
        pass
    with pytest.raises(NothingFoundError, match="no array"):
        audit(tmp_path / "b.npz")


def npy_header(text: str, version: bytes = b"\1\0") -> bytes:
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize(
    "data",
    [
        npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (9000000, 1000, 1000)}"),
        npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 28, 28)}"),
        npy_header("{'descr': '|u1', 'fortran_order': False}"),
        npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 28, 28)}") + bytes(1569),
        npy_header("__import__('os').system('true')"),
        npy_header("(" * 5000),
        npy_header("{}", b"\7\0"),
        npy_header("{}")[:9],
        b"",
        b"no numpy file at all",
    ],
)
def test_damaged_headers_allocate_nothing(tmp_path, data):
    path = tmp_path / "a.npy"
    path.write_bytes(data)
    assert code(path) == "array-damaged"


def test_npz_bomb_is_not_inflated(tmp_path, monkeypatch):
    path = save(tmp_path, "a.npz", np.zeros((300, 1000, 1000), np.uint8))
    assert path.stat().st_size < 400_000
    assert code(path) == "array-too-large"
    for module in (arrays, npz):
        monkeypatch.setattr(module, "MAX_ARRAY_BYTES", 1000)
    assert code(save(tmp_path, "b.npz", DIGITS)) == "array-too-large"
    assert code(save(tmp_path, "b.npy", DIGITS)) == "array-too-large"


def test_damaged_npz(tmp_path):
    path = save(tmp_path, "a.npz", DIGITS)
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF
    path.write_bytes(data)
    assert code(path) == "array-damaged"
    path.write_bytes(data[:100])
    assert code(path) == "zip-damaged"


def test_spec_judges_arrays_too(tmp_path):
    path = save(tmp_path, "a.npy", DIGITS)
    png = SubmissionSpec(name="png", count=12, width_px=28, height_px=28, mode="grey")
    assert code(path, spec=png) == "format-not-allowed"
    npy = png.model_copy(update={"formats": ("npy",)})
    assert audit(path, spec=npy).valid
    findings = audit(path, spec=npy.model_copy(update={"count": 10, "width_px": 32})).findings
    assert [(f.code, f.count) for f in findings] == [("wrong-count", 2), ("wrong-size", 12)]
