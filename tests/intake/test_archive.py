"""Zip files, correct and hostile, made by `zipfile` or by changing its bytes."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import NothingFoundError
from bench.intake import SubmissionSpec, archive, audit
from bench.intake.findings import Collector
from bench.intake.formats import Rejected
from bench.intake.worker import read_member
from tests.intake.pictures import digit, encode, make_folder

PICTURE = encode(digit(0))


def write_zip(path, entries, method=zipfile.ZIP_DEFLATED):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile warns about duplicate names
        with zipfile.ZipFile(path, "w", method) as target:
            for name, data in entries:
                target.writestr(name, data)
    return path


def findings(path, **options) -> dict[str, tuple[int, tuple[str, ...]]]:
    report = audit(path, **options)
    return {finding.code: (finding.count, finding.examples) for finding in report.findings}


@pytest.fixture
def target(tmp_path):
    return tmp_path / "s.zip"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("top", ["", "samples/"])
def test_a_zip_equals_its_folder(tmp_path, target, method, top):
    folder = make_folder(tmp_path / "s", 4)
    entries = [(top + p.name, p.read_bytes()) for p in sorted(folder.iterdir(), reverse=True)]
    if top:
        entries += [(top, b""), ("__MACOSX/._x.png", b"x"), (top + ".DS_Store", b"x")]
    report = audit(write_zip(target, entries, method))
    assert report.valid
    assert report.kind == "zip"
    assert {f.code for f in report.findings} == ({"ignored-file"} if top else set())
    by_folder = audit(folder)
    assert np.array_equal(report.images.images, by_folder.images.images)
    assert report.images.digest == by_folder.images.digest
    assert report.images.names == by_folder.images.names


def test_streamed_and_zip64_entries(target):
    """Entries with their sizes after the data (flag bit 3), as zip writes them to a pipe."""

    class Pipe(io.RawIOBase):
        def __init__(self):
            self.data = b""

        def writable(self):
            return True

        def write(self, data):
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive_file:
        for i in range(3):
            with archive_file.open(f"{i}.png", "w", force_zip64=True) as stream:
                stream.write(encode(digit(i)))
    target.write_bytes(pipe.data)
    assert audit(target).images.images.shape == (3, 28, 28, 1)


def test_empty_and_imageless(target):
    with pytest.raises(NothingFoundError, match="no image file"):
        audit(write_zip(target, []))
    with pytest.raises(NothingFoundError, match="no image file"):
        audit(write_zip(target, [("a.txt", b"x")]))


def test_zip_slip(tmp_path, target):
    names = ["../evil.png", "/abs.png", "a/../../b.png", "..\\win.png", "C:\\x.png"]
    path = write_zip(target, [(name, PICTURE) for name in names] + [("ok.png", PICTURE)])
    assert findings(path) == {"zip-unsafe-path": (5, tuple(sorted(names)))}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.zip"]


def test_duplicates(target):
    path = write_zip(target, [("a.png", PICTURE), ("a.png", encode(digit(1))), ("b.png", PICTURE)])
    assert findings(path) == {"zip-duplicate": (1, ("a.png",))}


def test_nested_and_junk(target):
    path = write_zip(target, [("a.png", PICTURE), ("x/b.png", PICTURE), ("r.txt", b"")])
    assert findings(path) == {"nested-folder": (1, ("x",)), "junk-file": (1, ("r.txt",))}
    two_deep = write_zip(target, [("top/x/a.png", PICTURE), ("top/b.png", PICTURE)])
    assert findings(two_deep) == {"nested-folder": (1, ("x",))}


def test_overlapping_entries(target):
    """A second directory record that points at the first entry's bytes."""
    data = write_zip(target, [("a.png", PICTURE), ("b.png", PICTURE)]).read_bytes()
    record = data.rindex(b"PK\x01\x02")
    target.write_bytes(data[: record + 42] + struct.pack("<I", 0) + data[record + 46 :])
    result = findings(target)
    assert result["zip-overlap"][0] >= 1
    assert not audit(target).valid


def test_encrypted(target):
    data = bytearray(write_zip(target, [("a.png", PICTURE)]).read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + offset] |= 1
    target.write_bytes(data)
    assert findings(target) == {"zip-encrypted": (1, ("a.png",))}


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods(target, method):
    path = write_zip(target, [("a.png", PICTURE)], method)
    assert findings(path) == {"zip-method": (1, ("a.png",))}


def test_ratio_bomb(target):
    path = write_zip(target, [("bomb.png", bytes(50_000_000)), ("a.png", PICTURE)])
    assert path.stat().st_size < 100_000
    assert findings(path) == {"zip-ratio": (1, ("bomb.png",))}


def test_an_entry_cannot_inflate_beyond_its_stated_size(target):
    """The directory says 100 bytes; the stream holds 50 MB. One byte more than 100 is inflated."""
    data = bytearray(write_zip(target, [("bomb.png", bytes(50_000_000))]).read_bytes())
    struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 24, 100)
    target.write_bytes(data)
    assert findings(target) == {"zip-damaged": (1, ("bomb.png",))}


def test_symlink_entry(target):
    info = zipfile.ZipInfo("link.png")
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = write_zip(target, [(info, b"/etc/passwd"), ("a.png", PICTURE)])
    assert findings(path) == {"zip-symlink": (1, ("link.png",))}


def test_damaged_entry(target):
    data = bytearray(write_zip(target, [("a.png", PICTURE), ("b.png", PICTURE)]).read_bytes())
    data[50] ^= 0xFF  # inside the first entry's deflate stream
    target.write_bytes(data)
    assert findings(target) == {"zip-damaged": (1, ("a.png",))}


def test_every_truncation_of_a_zip_is_refused(target):
    data = write_zip(target, [("a.png", encode(digit(0, 6)))]).read_bytes()
    for end in range(len(data)):
        target.write_bytes(data[:end])
        report = audit(target)
        assert [finding.code for finding in report.findings] == ["zip-damaged"]
        assert report.images is None


def test_something_else_named_zip(target):
    target.write_text("<html>404</html>")
    assert findings(target) == {"zip-damaged": (1, ("s.zip",))}


def test_too_many_entries(target, monkeypatch):
    path = write_zip(target, [(f"{i}.png", PICTURE) for i in range(4)])
    monkeypatch.setattr(archive, "MAX_ENTRIES", 3)
    assert findings(path) == {"zip-too-many": (1, ("s.zip",))}
    monkeypatch.setattr(archive, "MAX_DIRECTORY_BYTES", 100)
    assert findings(path) == {"zip-too-many": (1, ("s.zip",))}


def test_names_that_are_not_utf8(target):
    # zipfile writes UTF-8 with its flag; "caXX.png" is then made Latin-1 without the flag.
    data = write_zip(target, [("caXX.png", PICTURE)]).read_bytes()
    target.write_bytes(data.replace(b"caXX", b"ca\xe9\x1b"))
    report = audit(target)
    assert report.valid
    assert report.images.names == (r"ca\xe9\x1b.png",)
    assert [finding.code for finding in report.findings] == ["bad-name"]


def test_spec_applies_to_a_zip(target):
    spec = SubmissionSpec(name="two", count=2, width_px=28, height_px=28, mode="grey")
    path = write_zip(target, [("a.png", PICTURE), ("b.jpg", encode(digit(1), "JPEG")), ("c", b"")])
    assert findings(path, spec=spec) == {
        "format-not-allowed": (1, ("b.jpg",)),
        "junk-file": (1, ("c",)),
    }


def test_long_extra_fields(target):
    """An extra field of 3,000 bytes moves the data beyond what one read covers."""
    info = zipfile.ZipInfo("a.png")
    info.extra = struct.pack("<HH", 0x7777, 2996) + bytes(2996)
    assert audit(write_zip(target, [(info, PICTURE)])).valid


def test_extra_field_that_reaches_into_the_next_entry(target):
    """The local header claims an extra field, so that the data would begin 40 bytes later."""
    data = bytearray(write_zip(target, [("a.png", PICTURE), ("b.png", PICTURE)]).read_bytes())
    struct.pack_into("<H", data, 28, 40)
    target.write_bytes(data)
    assert findings(target) == {"zip-overlap": (1, ("a.png",))}


def test_offsets_before_the_file(target):
    """A directory said to lie 50 bytes later puts the first entry at -50."""
    data = bytearray(write_zip(target, [("a.png", PICTURE)]).read_bytes())
    place = data.rindex(b"PK\x05\x06") + 16
    struct.pack_into("<I", data, place, struct.unpack_from("<I", data, place)[0] + 50)
    target.write_bytes(data)
    assert findings(target) == {"zip-damaged": (1, ("a.png",))}


SMALL = [encode(digit(i, 6)) for i in range(2)]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=st.dictionaries(st.integers(0, 10_000), st.integers(0, 255), min_size=1, max_size=3))
def test_changed_bytes_give_the_old_content_or_a_refusal(tmp_path, changes):
    path = write_zip(tmp_path / "fuzz.zip", [(f"{i}.png", SMALL[i]) for i in range(2)])
    data = bytearray(path.read_bytes())
    for place, value in changes.items():
        data[-1 - place % len(data)] = value
    path.write_bytes(data)
    listing = archive.list_archive(path, Collector())
    source = os.open(path, os.O_RDONLY)
    try:
        for entry in listing.entries:
            with contextlib.suppress(Rejected):
                assert read_member(entry.name, source, entry.member) in SMALL
    finally:
        os.close(source)
