"""Files that were found to end an audit, a decoding process or a batch, or to be read in part.

`cases/` holds them as they were found. The others are made here. In every case the audit names the
file and goes on.
"""

from __future__ import annotations

import gzip
import os
import struct
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.errors import InputError, UsageError
from bench.intake import audit, decoder, idx, load_spec, png
from bench.intake.archive import list_archive
from bench.intake.findings import Collector
from bench.intake.formats import Rejected
from bench.intake.idx import read_idx
from bench.runtime.zip_end import require_stated_entries
from tests.intake.pictures import SIGNATURE, chunk, digit, encode, header, make_folder

CASES = Path(__file__).parent / "cases"


def only_finding(path: Path) -> tuple[str, str]:
    """Return code and message of the one finding, which is an error and names a file."""
    report = audit(path)
    (finding,) = report.findings
    assert not report.valid
    assert finding.severity == "error"
    assert finding.examples
    return finding.code, finding.message


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("axes65-ubyte", "array-damaged", "65 axes"),
        ("bool.npy", "array-damaged", "not an integer"),
        ("dims65.npy", "array-damaged", "65 axes, at most 32"),
        ("sub.npy", "array-damaged", "a dtype that is an array"),
        ("flip.zip", "zip-damaged", "the end record states 3 entries, 1 can be read"),
    ],
)
def test_cases_are_findings(name, code, said):
    found, message = only_finding(CASES / name)
    assert found == code
    assert said in message


def test_tiffs_of_missing_dimensions_end_no_process(tmp_path, monkeypatch):
    """80 of them, with one process for all."""
    started = []
    real = decoder._Process.__init__

    def counted(self, *args):
        started.append(1)
        real(self, *args)

    monkeypatch.setattr(decoder._Process, "__init__", counted)
    for number in range(80):
        source = CASES / "tiffs" / f"dimensions-{number % 3}.tiff"
        (tmp_path / f"{number:02d}.tiff").write_bytes(source.read_bytes())
    (finding,) = audit(tmp_path, num_workers=1).findings
    assert (finding.code, finding.count) == ("image-damaged", 80)
    assert len(started) == 1


def npy(shape: str, descr: str = "'|u1'", data: bytes = b"") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + data


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (npy(f"(0, {2**62}, {2**62})"), "enormous"),
        (npy("(0, 281474976710656, 281474976710656)"), "product is enormous"),
        (npy("(True, 60, 9)", data=bytes(540)), "not an integer"),
        (npy(f"(0x{'f' * 8000}, 2, 2)"), "enormous"),
        (npy("(180,)", "('|u1', (3,))", bytes(540)), "an array itself"),
        (npy("(2, 2, 2)", "'|V0'"), "dtype of 0 bytes"),
        (npy("(1,)" * 3), "bad npy header"),
        (npy(f"({'(' * 4000})"), "bad npy header"),
        (npy("(9000000, 1000, 1000)"), "0 bytes follow"),
        (npy("(1.0, 2, 2)", data=bytes(4)), "bad npy header"),
        (npy("(2, 2, 2)", "'not a dtype'", bytes(8)), "bad npy header"),
    ],
)
def test_headers_of_arrays_that_do_not_exist(tmp_path, data, said, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "npz":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("images.npy", data)
    else:
        path.write_bytes(data)
    code, message = only_finding(path)
    assert code == "array-damaged"
    assert said in message


def idx_header(*shape: int) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def test_a_gzip_bomb_is_refused_before_it_is_inflated(tmp_path, monkeypatch):
    """400 MB of zeros in 390 kB, of which no more than a header is inflated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = packer.compress(idx_header(510_000, 28, 28))
    for _ in range(100):
        packed += packer.compress(bytes(4_000_000))
    path = tmp_path / "bomb-ubyte.gz"
    path.write_bytes(packed + packer.flush())
    inflated = []
    real = zlib.decompressobj

    class Counted:
        def __init__(self, wbits: int) -> None:
            self.inner = real(wbits)

        def decompress(self, data: bytes, limit: int) -> bytes:
            inflated.append(self.inner.decompress(data, limit))
            return inflated[-1]

    monkeypatch.setattr(idx.zlib, "decompressobj", Counted)
    code, message = only_finding(path)
    assert code == "array-damaged"
    assert "claim to inflate to 399840016, far more than images do" in message
    assert sum(map(len, inflated)) < 100


def zipped(data: bytes) -> bytes:
    """The same bytes at every collection: a gzip header holds the time otherwise."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (zipped(idx_header(3, 2, 2) + bytes(11)), "12 values, but 11 follow"),
        (zipped(idx_header(3, 2, 2) + bytes(500_000)), "12 values, but more follow"),
        (zipped(idx_header(3, 2, 2) + bytes(12)) + b"x", "after the end"),
        (zipped(idx_header(3, 2, 2) + bytes(12)) * 2, "after the end"),
        (zipped(idx_header(3, 2, 2) + bytes(12))[:-5], "has no end"),
        (zipped(idx_header(3, 2, 2) + bytes(12))[:-8] + bytes(8), "incorrect data check"),
        (zipped(idx_header(2**31, 2)), "too large for an idx file"),
        (b"not gzip at all", "incorrect header check"),
        (b"", "not an idx file"),
    ],
)
def test_damaged_gzip(tmp_path, data, said):
    path = tmp_path / "a-ubyte.gz"
    path.write_bytes(data)
    with pytest.raises(InputError, match=said):
        read_idx(path)


def test_compressed_parts_of_every_size_give_the_same_array(tmp_path, monkeypatch):
    images = np.stack([digit(seed) for seed in range(9)])
    path = tmp_path / "a-ubyte.gz"
    path.write_bytes(gzip.compress(idx_header(9, 28, 28) + images.tobytes()))
    for part_bytes in (200, 1001, 1 << 20):
        monkeypatch.setattr(idx, "PART_BYTES", part_bytes)
        assert np.array_equal(read_idx(path), images)
    monkeypatch.setattr(idx, "PART_BYTES", 12)  # less than the header, which is not misread
    with pytest.raises(InputError, match="not an idx file|cut short"):
        read_idx(path)


def test_a_large_sparse_file_is_not_read(tmp_path):
    """1 TB on paper."""
    for name in ("a.npy", "a-ubyte"):
        path = tmp_path / name
        path.write_bytes(idx_header(3, 2, 2) if name == "a-ubyte" else npy("(3, 2, 2)"))
        os.truncate(path, 1 << 40)
        begin = time.process_time()
        assert only_finding(path)[0] in ("array-too-large", "array-damaged")
        assert time.process_time() - begin < 5
    spec = tmp_path / "spec.toml"
    spec.write_bytes(b"name = 'x'")
    os.truncate(spec, 1 << 40)
    with pytest.raises(UsageError, match=r"is not a spec: it has 1,099,511,627,776 bytes"):
        load_spec(str(spec))


def test_a_deeply_nested_spec_is_not_a_spec(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text(f"a={'[' * 100_000}")
    with pytest.raises(UsageError, match=r"deep\.toml is not a spec: .*nested too deeply"):
        load_spec(str(path))


def test_the_number_of_chunks_is_limited(tmp_path):
    """A file of half a million empty chunks costs no more than one of the limit."""
    most = chunk(b"teXt") * (png.MAX_CHUNKS - 3)
    body = chunk(b"IDAT", zlib.compress(bytes(2))) + chunk(b"IEND")
    good = SIGNATURE + header(1, 1) + most + body
    assert png.walk(good).width == 1
    with pytest.raises(Rejected, match="more than 20,000 chunks"):
        png.walk(SIGNATURE + header(1, 1) + most + chunk(b"teXt") + body)
    (tmp_path / "0.png").write_bytes(SIGNATURE + header(1, 1) + chunk(b"teXt") * 500_000 + body)
    assert only_finding(tmp_path)[0] == "png-structure"


def test_a_second_frame_is_found_without_visiting_every_frame(tmp_path):
    frames = [Image.fromarray(digit(seed)) for seed in range(3)]
    (tmp_path / "0.tiff").write_bytes(
        encode(frames[0], "TIFF", save_all=True, append_images=frames)
    )
    (tmp_path / "1.webp").write_bytes(
        encode(frames[0].convert("RGB"), "WEBP", save_all=True, append_images=[frames[1]])
    )
    (finding,) = audit(tmp_path).findings
    assert (finding.code, finding.count) == ("animated", 2)
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "raw"):
        single = tmp_path / str(compression)
        single.mkdir()
        (single / "0.tiff").write_bytes(encode(frames[0], "TIFF", compression=compression))
        report = audit(single)
        assert report.valid
        assert np.array_equal(report.images.images[0, ..., 0], digit(0))


def end_record(stated: int) -> bytes:
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, stated, stated, 0, 0, 0)


def test_the_number_of_entries_is_that_of_the_end_record(tmp_path):
    path = tmp_path / "a.zip"
    for number in (0, 1, 3):
        with zipfile.ZipFile(path, "w") as archive:
            for i in range(number):
                archive.writestr(f"{i}.png", encode(digit(i)))
            archive.comment = b"a comment"
        with path.open("rb") as stream:
            require_stated_entries(stream, number)
            with pytest.raises(zipfile.BadZipFile, match=f"states {number} entries, {number + 1}"):
                require_stated_entries(stream, number + 1)


def test_many_entries(tmp_path):
    """Beyond 65,535 entries a zip has a second end record, or a number modulo 65,536."""
    path = tmp_path / "a.zip"
    large = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 65_540, 65_540, 0, 0)
    path.write_bytes(large + struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1) + end_record(65_535))
    with path.open("rb") as stream:
        require_stated_entries(stream, 65_540)
        for other in (4, 65_539, 65_540 + 65_536):
            with pytest.raises(zipfile.BadZipFile, match="states 65,540 entries"):
                require_stated_entries(stream, other)
    plain = tmp_path / "b.zip"
    plain.write_bytes(end_record(4))
    with plain.open("rb") as stream:
        require_stated_entries(stream, 65_540)
    plain.write_bytes(end_record(65_535))
    with plain.open("rb") as stream:
        require_stated_entries(stream, 65_535)
        with pytest.raises(zipfile.BadZipFile, match="states 65,535"):
            require_stated_entries(stream, 65_540)


def test_every_flipped_byte_of_a_zip_loses_no_image_in_silence(tmp_path):
    """Either an error, or all images with their pixels."""
    source, path = tmp_path / "s", tmp_path / "a.zip"
    make_folder(source, 3, size=8)
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(source.iterdir()):
            archive.write(file, file.name)
    data = path.read_bytes()
    lost = set()
    for place in range(data.index(b"PK\1\2"), len(data)):
        for bit in (0, 3, 6):
            flipped = bytes([data[place] ^ 1 << bit])
            path.write_bytes(data[:place] + flipped + data[place + 1 :])
            collector = Collector()
            listing = list_archive(path, collector)
            lost |= {finding.code for finding in collector.findings()}
            assert len(listing.entries) == 3 or collector.findings(), (place, bit)
    assert {"zip-damaged", "junk-file", "zip-method"} <= lost
