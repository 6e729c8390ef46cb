"""From blocks to facts: the blocks do not matter, and memory is bounded."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.content import ContentFacts, ContentObserver, content_facts
from bench.content.observer import THUMBNAIL_BYTES, image_hashes
from bench.content.statistics import STATISTICS
from bench.content.thumbnails import thumbnails
from bench.errors import InputError
from tests.conftest import RealSample
from tests.content.faults import U8


def equal(a: ContentFacts, b: ContentFacts) -> bool:
    return all(
        np.array_equal(x, b.arrays()[name], equal_nan=name == "statistics")
        for name, x in a.arrays().items()
    )


@settings(max_examples=15)
@given(st.lists(st.integers(1, 700), max_size=8), st.booleans())
def test_blocks_do_not_matter(mnist: RealSample, cuts: list[int], some_colour: bool) -> None:
    images = mnist.images[:700]
    if some_colour:  # grey blocks come with one channel, as from a stream
        images = np.repeat(images, 3, axis=3)
        images[400, 5:9, 5:9] = (200, 30, 90)
    observer = ContentObserver(len(images))
    edges = [0, *sorted(set(cuts) - {700}), 700]
    for start, stop in itertools.pairwise(edges):
        block = images[start:stop]
        is_grey = (block == block[..., :1]).all()
        observer.add(block[..., :1] if is_grey else block)
    found = observer.facts()
    assert found.channels == (3 if some_colour else 1)
    assert equal(found, content_facts(images))


def test_grey_as_rgb_is_grey(mnist: RealSample) -> None:
    grey = mnist.images[:300]
    assert equal(content_facts(grey), content_facts(np.repeat(grey, 3, axis=3)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(8, 8), (8, 512), (31, 17), (64, 64), (65, 200), (512, 512)])
def test_sizes(size: tuple[int, int], channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, *size, channels), np.uint8)
    facts = content_facts(images)
    assert facts.num_images == 5
    assert (facts.height_px, facts.width_px, facts.channels) == (*size, channels)
    assert facts.histogram.sum() == images.size
    assert max(facts.thumbnails.shape[1:3]) <= 64
    assert facts.thumbnails.shape[3] == channels
    assert len(np.unique(facts.hashes)) == 5
    named = STATISTICS.index("lossy")
    assert np.isfinite(np.delete(facts.statistics, named, axis=1)).all()


def test_a_single_image() -> None:
    facts = content_facts(np.arange(784, dtype=np.uint8).reshape(1, 28, 28, 1))
    assert (facts.num_images, len(facts.descriptors), len(facts.thumbnails)) == (1, 1, 1)
    assert (facts.lows[0], facts.highs[0]) == (0, 255)


def test_arrays_and_back(mnist: RealSample) -> None:
    facts = content_facts(mnist.images[:100])
    assert equal(facts, ContentFacts.of(facts.arrays()))
    broken = facts.arrays() | {"lows": facts.lows[:50]}
    with pytest.raises(InputError, match="do not fit"):
        ContentFacts.of(broken)
    with pytest.raises(InputError, match="not the content facts"):
        ContentFacts.of({})


def test_luma_is_that_of_bt601() -> None:
    """0.299 * 200 + 0.587 * 100 + 0.114 * 50 = 124.2"""
    facts = content_facts(np.full((1, 8, 8, 3), (200, 100, 50), np.uint8))
    assert facts.lows[0] == facts.highs[0] == 124


def test_hashes_tell_pixels_sizes_and_colours_apart() -> None:
    image = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1)
    one_off = image.copy()
    one_off[0, 7, 7, 0] += 1
    colour = np.repeat(image, 3, axis=3)
    coloured = colour.copy()
    coloured[0, 0, 0] = (1, 0, 0)
    different = [image, one_off, image.reshape(1, 4, 16, 1), coloured]
    assert len({int(image_hashes(one)[0]) for one in different}) == 4
    assert image_hashes(colour) == image_hashes(image)


def test_thumbnails_are_means_of_areas() -> None:
    """128 px to 64: each pixel the mean of 2x2; 96 to 64: one pixel and a half each."""
    image = np.zeros((1, 128, 96, 1), np.uint8)
    image[0, :2, :2] = 100
    small = thumbnails(image)
    assert small.shape == (1, 64, 48, 1)
    assert small[0, 0, 0, 0] == 100
    assert small.sum() == 100
    wide = np.zeros((1, 8, 96, 1), np.uint8)
    wide[:, :, 1] = 90
    assert thumbnails(wide)[0, 0, :3, 0].tolist() == [30, 30, 0]  # half of it in each of two


def test_more_or_other_images_than_expected() -> None:
    observer = ContentObserver(3)
    observer.add(np.zeros((2, 8, 8, 1), np.uint8))
    with pytest.raises(InputError, match="after images of"):
        observer.add(np.zeros((1, 9, 8, 1), np.uint8))
    with pytest.raises(InputError, match="more images"):
        observer.add(np.zeros((2, 8, 8, 1), np.uint8))
    with pytest.raises(InputError, match="uint8"):
        observer.add(np.zeros((1, 8, 8, 1), np.float32))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="there were no images"):
        ContentObserver(5).facts()


def test_fewer_images_than_expected(mnist: RealSample) -> None:
    observer = ContentObserver(1_000)
    observer.add(mnist.images[:40])
    facts = observer.facts()
    assert facts.num_images == len(facts.thumbnails) == 40


def blocks_of(num_images: int, block: U8) -> ContentFacts:
    observer = ContentObserver(num_images)
    for _ in range(num_images // len(block)):
        observer.add(block)
    return observer.facts()


def test_memory_is_bounded() -> None:
    """100,000 images of 28x28 are 78 MB of pixels. The facts hold at most 32 MiB of thumbnails,
    counted with three channels, and 0.12 kB per image.
    """
    block = np.random.default_rng(0).integers(0, 256, (500, 28, 28, 1), np.uint8)
    tracemalloc.start()
    facts = blocks_of(100_000, block)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert facts.thumbnails.nbytes <= THUMBNAIL_BYTES
    assert sum(array.nbytes for array in facts.arrays().values()) < 32e6
    assert peak < 64e6
