"""`ImageStream` gives the same as `audit`, in order, in bounded memory."""

from __future__ import annotations

import sys
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import InvalidSubmission, LatentbenchError, NothingFoundError, UsageError
from bench.intake import ImageStream, SubmissionSpec, audit, decoder, reading
from bench.intake.image_set import make_block
from bench.intake.stream import _joined
from tests.intake.pictures import digit, encode, linked_folder, make_folder
from tests.intake.test_decoding_process import environment
from tests.intake.test_folder import broken_files

pytestmark = pytest.mark.usefixtures("nothing_is_left")

SPEC = SubmissionSpec(name="digits", width_px=28, height_px=28, mode="grey")
DIGITS = np.stack([digit(i) for i in range(12)])  # uint8 12,28,28


def drain(path, **options):
    """Return all blocks, and the report."""
    with ImageStream(path, **options) as stream:
        blocks = list(stream)
    assert sum(map(len, blocks)) <= stream.num_images
    return blocks, stream.report


def assert_same(path, **options):
    """Assert that the stream gives the images and findings of `audit`; return the report."""
    whole = audit(path, **options)
    lean = audit(path, keep_pixels=False, **options)
    blocks, report = drain(path, **options)
    assert report == lean
    assert report.images is None
    assert (report.findings, report.kind, report.num_files, report.source, report.identity) == (
        whole.findings,
        whole.kind,
        whole.num_files,
        whole.source,
        whole.identity,
    )
    assert report.valid == whole.valid == (report.identity is not None)
    for block in blocks:
        assert block.dtype == np.uint8
        assert block.flags.writeable
        assert 0 < len(block) <= 512
    if whole.valid:
        images = whole.images.images
        assert images.shape == (report.identity.num_images, *images.shape[1:])
        assert images.shape[1:] == (
            report.identity.height,
            report.identity.width,
            report.identity.channels,
        )
        streamed = [np.broadcast_to(b, (*b.shape[:3], images.shape[3])) for b in blocks]
        assert np.array_equal(np.concatenate(streamed), images)
    return report


def colourful(path: Path, num_images: int, seed: int = 0) -> Path:
    """Grey, grey as RGB and coloured PNGs of one size, in a random order."""
    path.mkdir()
    rng = np.random.default_rng(seed)
    for i in range(num_images):
        shape = (20, 30) if rng.integers(3) == 0 else (20, 30, 3)
        picture = rng.integers(0, 256, shape, dtype=np.uint8)
        if len(shape) == 3 and rng.integers(2):
            picture = np.repeat(picture[..., :1], 3, axis=2)
        (path / f"{i:04d}.png").write_bytes(encode(picture))
    return path


@pytest.mark.parametrize("chunk", [1, 7, 512])
@pytest.mark.parametrize("num_workers", [1, 2, 5])
def test_everything_comes_in_order(tmp_path, monkeypatch, num_workers, chunk):
    monkeypatch.setattr(decoder, "CHUNK", chunk)
    report = assert_same(colourful(tmp_path / "s", 60), num_workers=num_workers)
    assert report.valid
    assert [finding.code for finding in report.findings] == ["mixed-modes"]


def test_blocks_are_grey_where_all_images_are(tmp_path, monkeypatch):
    monkeypatch.setattr(decoder, "CHUNK", 4)
    monkeypatch.setattr("bench.intake.stream.BLOCK_IMAGES", 4)
    make_folder(tmp_path, 4)
    for i in range(4, 8):
        colour = np.stack([digit(i), digit(i), digit(i)], axis=-1)
        colour[0, 0, 0] ^= i == 7
        (tmp_path / f"{i:04d}.png").write_bytes(encode(colour))
    blocks, _ = drain(tmp_path, num_workers=1)
    assert [block.shape for block in blocks] == [(4, 28, 28, 1), (4, 28, 28, 3)]


def test_zip_and_arrays(tmp_path):
    folder = make_folder(tmp_path / "s", 12)
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    np.save(tmp_path / "a.npy", DIGITS)
    np.savez(tmp_path / "a.npz", np.stack([DIGITS] * 3, axis=-1))
    reports = [assert_same(tmp_path / name) for name in ("s", "s.zip", "a.npy", "a.npz")]
    assert len({report.identity.sequence_digest for report in reports}) == 1


@pytest.mark.parametrize(("data", "code"), broken_files().values(), ids=broken_files().keys())
def test_findings_of_broken_files(tmp_path, data, code):
    make_folder(tmp_path, 6)
    (tmp_path / "0002b.png").write_bytes(data)
    report = assert_same(tmp_path, spec=SPEC)
    assert [finding.code for finding in report.findings] == [code]
    with pytest.raises(InvalidSubmission, match=rf"{code} \(1\)"):
        report.raise_if_invalid()


def test_findings_of_everything_at_once(tmp_path):
    make_folder(tmp_path, 20)
    for i, data in enumerate(broken_files().values()):
        (tmp_path / f"b{i:02d}.png").write_bytes(data[0])
    (tmp_path / "c.png").write_bytes(encode(digit(1, 32)))
    (tmp_path / "d.jpg").write_bytes(encode(digit(2), "JPEG"))
    (tmp_path / "e.png").symlink_to(tmp_path / "c.png")
    (tmp_path / "inner").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    report = assert_same(tmp_path)
    assert len(report.findings) > 15
    counted = SPEC.model_copy(update={"count": 9})
    assert {f.code for f in assert_same(tmp_path, spec=counted).findings} >= {"wrong-count"}
    assert_same(tmp_path, limit=5)


@pytest.mark.parametrize(
    "array",
    [DIGITS.astype(np.float32), DIGITS[0], DIGITS[:, None], np.array([{}], dtype=object)],
    ids=["float", "no image shape", "channels first", "objects"],
)
def test_findings_of_arrays(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    assert not assert_same(tmp_path / "a.npy").valid
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-5])
    assert not assert_same(tmp_path / "a.npy").valid


def test_findings_of_zips(tmp_path):
    path = tmp_path / "s.zip"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile warns about duplicate names
        with zipfile.ZipFile(path, "w") as archive:
            for i in range(9):
                archive.writestr(f"{i}.png", encode(digit(i)))
            archive.writestr("../evil.png", b"x")
            archive.writestr("3.png", encode(digit(9)))
            archive.writestr("9.png", b"x")
    assert not assert_same(path).valid
    path.write_bytes(path.read_bytes()[:-30])
    assert not assert_same(path).valid


def test_a_source_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        ImageStream(tmp_path / "nowhere")
    with pytest.raises(NothingFoundError, match="no image file"):
        ImageStream(tmp_path)
    make_folder(tmp_path, 1)
    for option in ("limit", "num_workers", "max_bytes"):
        with pytest.raises(UsageError, match=f"{option} must be at least 1, got 0"):
            ImageStream(tmp_path, **{option: 0})


def test_limit_and_number_of_images(tmp_path):
    make_folder(tmp_path / "s", 5)
    np.save(tmp_path / "a.npy", DIGITS)
    assert ImageStream(tmp_path / "s").num_images == 5
    for source in ("s", "a.npy"):
        stream = ImageStream(tmp_path / source, limit=3)
        assert stream.num_images == 3
        assert sum(map(len, stream)) == 3
        assert len(stream.report.identity.names) == 3


@pytest.mark.parametrize("bad", [encode(digit(0))[:-5], encode(digit(0, 32))])
def test_no_image_comes_after_the_first_error(tmp_path, monkeypatch, bad):
    monkeypatch.setattr(decoder, "CHUNK", 4)
    make_folder(tmp_path, 40)
    (tmp_path / "0020.png").write_bytes(bad)
    blocks, report = drain(tmp_path, num_workers=2)
    assert sum(map(len, blocks)) <= 20
    assert {block.shape[1:] for block in blocks} <= {(28, 28, 1)}
    assert not report.valid


def test_no_image_comes_when_the_count_is_wrong(tmp_path):
    make_folder(tmp_path, 4)
    (tmp_path / "0003.png").write_bytes(b"")
    blocks, report = drain(tmp_path, spec=SPEC.model_copy(update={"count": 5}))
    assert blocks == []
    assert [finding.code for finding in report.findings] == ["wrong-count", "empty-file"]


def test_amount_of_data_counts_only_where_it_is_gathered(tmp_path, monkeypatch):
    make_folder(tmp_path, 5)
    monkeypatch.setattr(reading, "MAX_TOTAL_BYTES", 3 * 784)
    assert [finding.code for finding in audit(tmp_path).findings] == ["too-much-data"]
    assert audit(tmp_path, keep_pixels=False).valid
    blocks, report = drain(tmp_path)
    assert (sum(map(len, blocks)), report.findings) == (5, ())


def test_the_report_comes_at_the_end(tmp_path):
    make_folder(tmp_path, 3)
    stream = ImageStream(tmp_path)
    with pytest.raises(LatentbenchError, match="once all of its blocks were taken"):
        stream.report  # noqa: B018
    assert sum(map(len, stream)) == 3  # without `with`: it ends by itself
    assert stream.report.valid
    assert list(stream) == []


def test_waiting_blocks_are_bounded_in_bytes(tmp_path):
    """Without a consumer, the stream reads ahead until another block would not fit."""
    folder = linked_folder(tmp_path / "s", 400)
    bound = 16 << 20
    largest = (4 << 20) + 120_000
    deadline = time.monotonic() + 30
    with ImageStream(folder, max_bytes=bound) as stream:
        # Half of the bound is for what decoding holds out of order (test_decoder.py).
        while stream.waiting_bytes <= bound // 2 - largest:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.3)
        assert stream.waiting_bytes <= bound // 2
        for block in stream:
            assert block.nbytes <= largest
            assert stream.waiting_bytes <= bound // 2
    assert stream.report.valid


def test_a_block_larger_than_the_bound_still_comes(tmp_path):
    blocks, report = drain(linked_folder(tmp_path / "s", 30), max_bytes=1000)
    assert sum(map(len, blocks)) == 30
    assert report.valid


def test_memory_does_not_grow_with_the_images(tmp_path):
    """Peak memory of a process that takes blocks slowly, for 500 images (60 MB) and 3,000."""
    linked_folder(tmp_path / "s", 3000)
    code = (
        "import resource, sys, time\n"
        "from bench.intake import ImageStream\n"
        "total = 0\n"
        "with ImageStream(sys.argv[1], limit=int(sys.argv[2]), max_bytes=16 << 20) as stream:\n"
        "    for block in stream:\n"
        "        total += len(block)\n"
        "        time.sleep(0.005)\n"
        "assert total == int(sys.argv[2])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )

    def peak_bytes(num_images: int) -> int:
        command = [sys.executable, "-c", code, tmp_path / "s", str(num_images)]
        with psutil.Popen(command, stdout=-1, env=environment()) as child:
            return int(child.stdout.read()) << 10

    few = peak_bytes(500)
    assert peak_bytes(3000) < few + (24 << 20)


def test_progress(tmp_path):
    make_folder(tmp_path, 9)
    calls = []
    drain(tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (9, 9)
    assert calls == sorted(calls)


@given(
    counts=st.lists(st.tuples(st.integers(1, 9), st.sampled_from([1, 3])), max_size=20),
    most_images=st.integers(1, 12),
    most_bytes=st.integers(1, 200),
)
def test_neighbouring_blocks_are_joined(counts, most_images, most_bytes):
    blocks, at = [], 0
    for count, channels in counts:
        pixels = np.arange(at, at + count * 4 * channels, dtype=np.uint8)
        blocks.append(make_block(at, pixels.reshape(count, 2, 2, channels)))
        at += count
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.intake.stream.BLOCK_IMAGES", most_images)
        patch.setattr("bench.intake.stream.BLOCK_BYTES", most_bytes)
        joined = list(_joined(blocks))
    rgb = [np.broadcast_to(b.images, (*b.images.shape[:3], 3)) for b in blocks]
    result = [np.broadcast_to(images, (*images.shape[:3], 3)) for images in joined]
    assert np.array_equal(np.concatenate([*result, np.empty((0, 2, 2, 3))]),
                          np.concatenate([*rgb, np.empty((0, 2, 2, 3))]))  # fmt: skip
    largest = max((block.num_images for block in blocks), default=0)
    assert all(len(images) <= max(most_images, largest) for images in joined)
