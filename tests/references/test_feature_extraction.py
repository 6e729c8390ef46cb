"""Features of a stream: the same bits whatever the blocks, all of a little, bounded of much."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.errors import InputError, InvalidSubmission, UsageError
from bench.extractors import EXTRACTORS
from bench.intake import ImageStream, SetIdentity, audit, image_set_of
from bench.references.feature_extraction import Extraction
from bench.references.sample_cache import sample_key
from bench.statistics.moments import Features, subset_rows
from tests.conftest import RealSample, write_pngs

SEED = 2020


def features_of(n: int, d: int = 5, k: int | None = 4, seed: int = 0) -> Features:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n, d)).astype(np.float32) * 3 + 10
    return Features(
        values, None if k is None else rng.standard_normal((n, k)).astype(np.float32) * 2
    )


# ------------------------------------------------------------------------------ all of a little


# --------------------------------------------------------------------------- the same bits always


# ------------------------------------------------------------------------------------- bad features


# ------------------------------------------------------------------------------- bounded in memory


# ------------------------------------------------------------------------------- from a stream


class Recorder:
    """An extractor that gives the mean of each channel, and remembers what it was shown."""

    name, digest, device = "recorder", "0" * 64, "cpu"

    def __init__(self, batch_size: int = 64, *, fails: Exception | None = None) -> None:
        self.batch_size = batch_size
        self.fails = fails
        self.seen: list[NDArray[np.uint8]] = []

    def __call__(self, images: NDArray[np.uint8], *, progress: object = None) -> Features:
        self.seen.append(images.copy())
        if self.fails is not None:
            raise self.fails
        if callable(progress):
            progress(len(images), len(images))
        rgb = np.broadcast_to(images, (*images.shape[:3], 3))
        return Features(rgb.mean(axis=(1, 2)).astype(np.float32))


def extraction(extractors: list[Recorder], n: int, *, subset: int = 10_000) -> Extraction:
    return Extraction(lambda: extractors, n, subset=subset, seed=SEED)


class FakeStream:
    """Blocks by hand; `identity_if_read` knows what the images are from the n-th question on."""

    def __init__(self, blocks: list[NDArray[np.uint8]], known_after: int) -> None:
        self.blocks = blocks
        self.identity = image_set_of(np.concatenate(blocks)).identity
        self.known_after = known_after
        self.num_taken = 0
        self.report = SimpleNamespace(
            source="by hand", identity=self.identity, raise_if_invalid=lambda: None
        )

    def identity_if_read(self, timeout_s: float = 0.0) -> SetIdentity | None:
        self.known_after -= 1
        return self.identity if self.known_after < 0 else None

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for block in self.blocks:
            self.num_taken += 1
            yield block


def blocks_of(mnist: RealSample, *sizes: int) -> list[NDArray[np.uint8]]:
    ends = np.cumsum(sizes)
    return [mnist.images[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def test_every_extractor_sees_every_image_in_order_and_in_full_batches(mnist: RealSample) -> None:
    extractors = [Recorder(20), Recorder(50)]
    seen: list[tuple[int, int]] = []
    taking = extraction(extractors, 130)
    stream = FakeStream(blocks_of(mnist, 30, 30, 30, 30, 10), known_after=99)
    taking.consume(stream, lambda *at: seen.append(at))  # type: ignore[arg-type]
    for extractor, sample in zip(extractors, taking.samples(), strict=True):
        assert [len(images) for images in extractor.seen] == [60, 60, 10]  # none below 50
        np.testing.assert_array_equal(np.concatenate(extractor.seen), mnist.images[:130])
        expected = np.repeat(mnist.images[:130].mean(axis=(1, 2)), 3, axis=1)
        np.testing.assert_allclose(sample.features.values, expected, rtol=1e-6)
    assert seen == sorted(seen)
    assert seen[-1] == (130, 130)


def test_grey_blocks_among_coloured_ones(mnist: RealSample) -> None:
    grey = mnist.images[:10]
    colour = np.repeat(mnist.images[10:20], 3, axis=3)
    colour[..., 2] = 0
    extractor = Recorder(64)
    taking = extraction([extractor], 20)
    taking.add(grey)
    taking.add(colour)
    (sample,) = taking.samples()
    assert [images.shape for images in extractor.seen] == [(20, 28, 28, 3)]
    np.testing.assert_array_equal(extractor.seen[0][:10], np.repeat(grey, 3, axis=3))
    assert (sample.features.values[10:, 2] == 0).all()
    assert (sample.features.values[:10, 2] == sample.features.values[:10, 0]).all()


def test_missing_images_are_told(mnist: RealSample) -> None:
    taking = extraction([Recorder()], 20)
    taking.add(mnist.images[:19])
    with pytest.raises(InputError, match="features of 19 images, expected 20"):
        taking.samples()


def test_a_folder_gives_what_its_array_gives(mnist: RealSample, tmp_path: Path) -> None:
    folder = write_pngs(mnist.images[:70], tmp_path / "x")
    extractor = EXTRACTORS["random-conv"].resolve().load()
    with ImageStream(folder) as stream:
        taking = Extraction(lambda: [extractor], stream.num_images, subset=30, seed=SEED)
        identity = taking.consume(stream)
    (sample,) = taking.samples()
    assert identity.sequence_digest == image_set_of(mnist.images[:70]).identity.sequence_digest
    whole = extractor(mnist.images[:70]).values
    np.testing.assert_allclose(sample.features.values, whole[subset_rows(70, 30)], rtol=1e-5)
    np.testing.assert_allclose(sample.moments.mean, whole.mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("load_fails", [False, True])
def test_an_invalid_submission_comes_before_what_an_extractor_raises(
    mnist: RealSample, tmp_path: Path, load_fails: bool
) -> None:
    """The extractor fails on the first of many blocks; what is wrong lies at the very end."""
    folder = write_pngs(mnist.images[:1100], tmp_path / "x")
    (folder / "z-torn.png").write_bytes((folder / "00000.png").read_bytes()[:60])
    write_pngs(np.zeros((1, 30, 30, 1), np.uint8), tmp_path / "y")
    (tmp_path / "y" / "00000.png").rename(folder / "zz-large.png")
    (folder / "notes.txt").write_text("x")
    failing = Recorder(fails=UsageError("the network is broken"))

    def load() -> list[Recorder]:
        if load_fails:
            raise UsageError("no weights")
        return [failing]

    with ImageStream(folder) as stream:
        taking = Extraction(load, stream.num_images, subset=100, seed=SEED)
        with pytest.raises(InvalidSubmission) as caught:
            taking.consume(stream)
    assert len(failing.seen) <= 1
    assert caught.value.findings == audit(folder, keep_pixels=False).findings
    codes = {finding.code for finding in caught.value.findings}  # type: ignore[attr-defined]
    assert {"mixed-sizes", "junk-file"} < codes
    assert len(codes) >= 3


def test_a_failing_extractor_is_told_once_the_submission_is_known_to_be_valid(
    mnist: RealSample, tmp_path: Path
) -> None:
    folder = write_pngs(mnist.images[:80], tmp_path / "x")
    failing = Recorder(fails=UsageError("the network is broken"))
    with ImageStream(folder) as stream:
        with pytest.raises(UsageError, match="the network is broken"):
            extraction([failing], 80).consume(stream)
        assert stream.report.valid
        assert stream.report.identity is not None
        assert stream.report.identity.num_images == 80
    assert len(failing.seen) == 1


def test_images_that_an_extractor_does_not_take_are_told_with_their_source(
    tmp_path: Path,
) -> None:
    folder = write_pngs(np.zeros((12, 7, 7, 1), np.uint8), tmp_path / "x")
    extractor = EXTRACTORS["hog"].resolve().load()
    with ImageStream(folder) as stream:
        taking = Extraction(lambda: [extractor], stream.num_images, subset=100, seed=SEED)
        message = f"^{re.escape(str(folder))}: images are 7x7 px .* extractors take 8 to 2048 px"
        with pytest.raises(InputError, match=message):
            taking.consume(stream)


@pytest.mark.parametrize("known_after", [0, 1, 3])
def test_what_is_known_is_not_extracted(mnist: RealSample, known_after: int) -> None:
    """The identity is there before the first block, or while blocks come: from then on nothing is
    computed, but the stream is taken to its end.
    """
    stream = FakeStream(blocks_of(mnist, 30, 30, 30, 30), known_after)
    asked: list[SetIdentity] = []

    def is_known(identity: SetIdentity) -> bool:
        asked.append(identity)
        return True

    extractor = Recorder(30)
    taking = extraction([extractor], 120)
    assert taking.consume(stream, is_known=is_known) == stream.identity  # type: ignore[arg-type]
    assert taking.abandoned
    assert asked == [stream.identity]
    assert stream.num_taken == 4
    assert len(extractor.seen) == max(0, known_after - 1)


def test_a_failure_is_forgiven_when_the_images_are_known(mnist: RealSample) -> None:
    stream = FakeStream(blocks_of(mnist, 30, 30, 30), known_after=2)
    taking = extraction([Recorder(30, fails=UsageError("broken"))], 90)
    taking.consume(stream, is_known=lambda _: True)  # type: ignore[arg-type]
    assert taking.abandoned


def test_what_is_not_known_is_asked_once_and_extracted(mnist: RealSample) -> None:
    stream = FakeStream(blocks_of(mnist, 30, 30, 30), known_after=1)
    asked: list[SetIdentity] = []
    taking = extraction([Recorder(30)], 90)
    taking.consume(stream, is_known=lambda identity: bool(asked.append(identity)))  # type: ignore[arg-type, func-returns-value]
    assert not taking.abandoned
    assert len(asked) == 1
    assert taking.samples()[0].n == 90


# --------------------------------------------------------------------------------- in the cache


def test_keys_tell_apart_what_gives_other_features() -> None:
    given_: dict[str, object] = {
        "sequence_digest": "a",
        "num_images": 100,
        "device": "cpu",
        "subset": 50,
        "seed": 1,
    }
    digits, other = EXTRACTORS["digits"].resolve(), EXTRACTORS["random-conv"].resolve()

    def key(extractor: object = digits, **changes: object) -> str:
        return sample_key(extractor, **(given_ | changes))  # type: ignore[arg-type]

    changed = [
        key(),
        key(other),
        key(sequence_digest="b"),
        key(device="cuda"),
        key(subset=51),
        key(seed=2),
        key(subset=100),
    ]
    assert len(set(changed)) == len(changed)
    assert key(device="cuda:0") == key(device="cuda:1")
    # where every image is kept, subset and seed change nothing
    assert key(subset=100) == key(subset=10_000, seed=9)
