"""Digests: what they depend on, and what they must not depend on."""

from __future__ import annotations

import hashlib
import struct
import zipfile

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.intake import audit
from bench.intake.image_set import assemble, make_block
from tests.intake.pictures import digit, encode

SETS = hnp.arrays(np.uint8, st.tuples(*[st.integers(1, 4)] * 3))


def digests(images_NHWC, names=None):
    names = names or [b"%d" % i for i in range(len(images_NHWC))]
    result = assemble([make_block(0, images_NHWC)], names)
    return result.digest, result.pixel_digest, result.sequence_digest


def test_digests_by_hand():
    """The definition, with hashlib alone: a 1x2 grey image named b and one named a."""
    images = np.array([[[[1], [2]]], [[[3], [4]]]], np.uint8)
    first = hashlib.sha256(struct.pack(">III", 1, 2, 1) + bytes([1, 2])).digest()
    second = hashlib.sha256(struct.pack(">III", 1, 2, 1) + bytes([3, 4])).digest()
    named = b"\0\0\0\1a" + second + b"\0\0\0\1b" + first
    assert digests(images, [b"b", b"a"]) == (
        hashlib.sha256(named).hexdigest(),
        hashlib.sha256(b"".join(sorted([first, second]))).hexdigest(),
        hashlib.sha256(first + second).hexdigest(),
    )


@given(SETS, st.randoms())
def test_order_and_names(images, random):
    images = images[..., None]
    order = list(range(len(images)))
    random.shuffle(order)
    names = [b"%d" % i for i in range(len(images))]
    a = digests(images, names)
    b = digests(images[order], [names[i] for i in order])
    assert a[:2] == b[:2]  # the same files, listed in another order
    renamed = digests(images, [b"x" + name for name in names])
    assert renamed[0] != a[0]
    assert renamed[1:] == a[1:]


@given(SETS)
def test_grey_equals_rgb_with_equal_channels(images):
    grey, rgb = images[..., None], np.repeat(images[..., None], 3, axis=3)
    assert digests(grey) == digests(rgb)
    assert make_block(0, rgb).images.shape[3] == 1


@given(SETS, st.data())
def test_every_pixel_counts(images, data):
    images = images[..., None]
    index = tuple(data.draw(st.integers(0, size - 1)) for size in images.shape)
    changed = images.copy()
    changed[index] ^= data.draw(st.integers(1, 255))
    assert all(a != b for a, b in zip(digests(images), digests(changed), strict=True))


def test_shape_counts():
    values = np.arange(8, dtype=np.uint8)
    shapes = [(1, 2, 4, 1), (1, 4, 2, 1), (1, 8, 1, 1), (2, 2, 2, 1)]
    assert len({digests(values.reshape(shape))[1] for shape in shapes}) == 4


def test_blocks_do_not_show():
    images = np.stack([digit(i, 8) for i in range(10)])[..., None]
    names = [b"%d" % i for i in range(10)]
    whole = assemble([make_block(0, images)], names)
    parts = [make_block(i, images[i : i + 3]) for i in (9, 3, 0, 6)]
    joined = assemble(parts, names)
    assert np.array_equal(joined.images, whole.images)
    assert joined.digest == whole.digest


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(images=hnp.arrays(np.uint8, st.tuples(*[st.integers(1, 5)] * 3)))
def test_folder_zip_npz_npy_idx_and_rgb_are_one_set(tmp_path_factory, images):
    root = tmp_path_factory.mktemp("sets")
    n, height, width = images.shape
    names = [f"{i}.png" for i in range(n)]
    for folder, pictures in (("grey", images), ("rgb", np.repeat(images[..., None], 3, axis=3))):
        (root / folder).mkdir()
        for name, picture in zip(names, pictures, strict=True):
            (root / folder / name).write_bytes(encode(picture))
    with zipfile.ZipFile(root / "z.zip", "w") as archive:
        for name in reversed(names):
            archive.write(root / "rgb" / name, f"top/{name}")
    np.savez(root / "a.npz", images)
    np.save(root / "a.npy", images)
    head = b"\0\0\x08\x03" + struct.pack(">III", n, height, width)
    (root / "a.idx").write_bytes(head + images.tobytes())
    sources = ("grey", "rgb", "z.zip", "a.npz", "a.npy", "a.idx")
    reports = [audit(root / source) for source in sources]
    assert all(np.array_equal(r.images.images, images[..., None]) for r in reports)
    assert len({r.images.pixel_digest for r in reports}) == 1
    assert len({r.images.sequence_digest for r in reports}) == 1
    assert len({r.images.digest for r in reports[:3]}) == 1
    assert [[f.code for f in r.findings] for r in reports] == [
        [], ["grey-as-rgb"], ["grey-as-rgb"], [], [], []
    ]  # fmt: skip
