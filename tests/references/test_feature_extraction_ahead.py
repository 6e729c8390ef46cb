"""Extractors that queue on a device: whole batches, and the next one begun before the last is
fetched. On a CPU nothing of it happens.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.errors import InputError, InvalidSubmission, UsageError
from bench.extractors import extractor_row
from bench.extractors.base import QueueingExtractor
from bench.extractors.network import NetworkExtractor, Outputs
from bench.intake import ImageStream, audit
from bench.references.feature_extraction import Extraction
from bench.runtime.progress import CountProgress
from bench.statistics.moments import Features
from tests.conftest import RealSample, write_pngs

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SEED = 2020


class Queue:
    """Queues on a device that is only a name: gives the mean of each image, and keeps a log of
    what was begun and what was waited for, with the numbers of images.
    """

    name, digest = "queue", "0" * 64

    def __init__(self, batch_size: int, device: str = "cuda") -> None:
        self.batch_size, self.device = batch_size, device
        self.log: list[tuple[str, int]] = []
        self.seen: list[NDArray[np.uint8]] = []
        self.begin_fails_at: dict[int, Exception] = {}
        self.nan_at: int | None = None

    def __call__(
        self, images: NDArray[np.uint8], *, progress: CountProgress | None = None
    ) -> Features:
        self.log.append(("call", len(images)))
        self.seen.append(images.copy())
        return self.features_of(images)

    def begin(
        self, images: NDArray[np.uint8], *, progress: CountProgress | None = None
    ) -> Callable[[], Features]:
        position, num = len(self.seen), len(images)
        self.log.append(("begin", num))
        self.seen.append(images.copy())
        if position in self.begin_fails_at:
            raise self.begin_fails_at[position]
        if progress is not None:
            progress(num // 2, num)
        features = self.features_of(images)
        if position == self.nan_at:
            features.values[:3] = np.nan

        def finish() -> Features:
            self.log.append(("wait", num))
            if progress is not None:
                progress(num, num)
            return features

        return finish

    def features_of(self, images: NDArray[np.uint8]) -> Features:
        return Features(images.mean(axis=(1, 2), dtype=np.float64).astype(np.float32))

    def sizes(self) -> list[int]:
        return [len(images) for images in self.seen]


def run(
    extractors: list[Queue],
    images: NDArray[np.uint8],
    *,
    block: int,
    progress: CountProgress | None = None,
) -> Extraction:
    taking = Extraction(lambda: extractors, len(images), subset=10_000, seed=SEED)
    for start in range(0, len(images), block):
        taking.add(images[start : start + block], progress)
    return taking


# ------------------------------------------------------------------------------------ in its turn


def test_the_next_is_begun_before_the_last_is_fetched(mnist: RealSample) -> None:
    queue = Queue(100)
    sample = run([queue], mnist.images[:330], block=100).samples()[0]
    assert queue.log == [
        ("begin", 100),
        ("begin", 100),
        ("wait", 100),
        ("begin", 100),
        ("wait", 100),
        ("begin", 30),
        ("wait", 100),
        ("wait", 30),
    ]
    expected = queue.features_of(mnist.images[:330]).values
    np.testing.assert_array_equal(sample.features.values, expected)


def test_blocks_of_512_become_whole_batches_of_500(mnist: RealSample) -> None:
    queue = Queue(500)
    taking = run([queue], mnist.images[:1900], block=512)
    assert queue.sizes() == [500, 500, 500]
    (sample,) = taking.samples()
    assert queue.sizes() == [500, 500, 500, 400]
    np.testing.assert_array_equal(np.concatenate(queue.seen), mnist.images[:1900])
    expected = queue.features_of(mnist.images[:1900]).values
    np.testing.assert_array_equal(sample.features.values, expected)


@pytest.mark.parametrize("block", [1, 37, 512, 1900])
def test_batches_do_not_depend_on_how_the_images_came(mnist: RealSample, block: int) -> None:
    queue = Queue(250)
    run([queue], mnist.images[:1900], block=block).samples()
    assert all(size % 250 == 0 for size in queue.sizes()[:-1])
    assert queue.sizes()[-1] % 250 == 1900 % 250


def test_several_extractors_share_the_hand_overs_of_the_largest_batch(mnist: RealSample) -> None:
    extractors = [Queue(50), Queue(100)]
    samples = run(extractors, mnist.images[:250], block=80).samples()
    for queue, sample in zip(extractors, samples, strict=True):
        assert queue.sizes() == [100, 100, 50]
        expected = queue.features_of(mnist.images[:250]).values
        np.testing.assert_array_equal(sample.features.values, expected)


def test_a_batch_size_that_shrinks_is_followed(mnist: RealSample) -> None:
    """As after a back-off, when memory ran out."""
    queue = Queue(400)
    taking = Extraction(lambda: [queue], 950, subset=10_000, seed=SEED)
    for start in range(0, 950, 150):
        if start == 450:
            queue.batch_size = 100
        taking.add(mnist.images[start : min(start + 150, 950)])
    taking.samples()
    assert queue.sizes() == [400, 200, 100, 200, 50]


def test_progress_never_goes_back(mnist: RealSample) -> None:
    told: list[tuple[int, int]] = []
    extractors = [Queue(100), Queue(100)]
    taking = Extraction(lambda: extractors, 330, subset=10_000, seed=SEED)
    for start in range(0, 330, 110):
        taking.add(mnist.images[start : start + 110], lambda *at: told.append(at))
    taking._finish(lambda *at: told.append(at))
    assert told == sorted(told)
    assert told[0] == (25, 330)
    assert told[-1] == (330, 330)


# -------------------------------------------------------------------------------------- on a CPU


def test_on_a_cpu_images_are_called_as_they_come(mnist: RealSample) -> None:
    """The batches are those of before there were queues, so that no score changes by a bit."""
    queue = Queue(500, device="cpu")
    run([queue], mnist.images[:1900], block=512).samples()
    assert queue.log == [("call", 512), ("call", 512), ("call", 512), ("call", 364)]


def test_an_extractor_without_a_queue_is_called(mnist: RealSample) -> None:
    class Plain:
        """Only what an extractor must have."""

        name, digest, device, batch_size = "plain", "0" * 64, "cuda", 100
        num_seen = 0

        def __call__(
            self, images: NDArray[np.uint8], *, progress: CountProgress | None = None
        ) -> Features:
            self.num_seen += len(images)
            return Features(images.mean(axis=(1, 2)).astype(np.float32))

    plain = Plain()
    taking = Extraction(lambda: [plain], 150, subset=10_000, seed=SEED)
    taking.add(mnist.images[:120])
    assert plain.num_seen == 100
    taking.add(mnist.images[120:150])
    assert taking.samples()[0].n == 150


# ----------------------------------------------------------------------------------- in bounds


def test_no_more_than_two_hand_overs_are_under_way(mnist: RealSample) -> None:
    queue = Queue(50)
    run([queue], mnist.images[:1000], block=64).samples()
    balance = np.cumsum([1 if what == "begin" else -1 for what, _ in queue.log])
    assert balance.max() == 2
    assert balance[-1] == 0


def test_what_waits_is_less_than_a_batch_and_holds_no_block(mnist: RealSample) -> None:
    taking = run([Queue(100)], mnist.images[:1030], block=1030)
    (rest,) = taking._waiting
    assert rest.base is None
    np.testing.assert_array_equal(rest, mnist.images[1000:1030])


def test_images_too_large_for_a_batch_are_not_gathered(
    mnist: RealSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.references.feature_extraction.MAX_WAITING_BYTES", 30 * 28 * 28)
    queue = Queue(1000)
    run([queue], mnist.images[:80], block=10).samples()
    assert queue.sizes() == [30, 30, 20]


# ------------------------------------------------------------------------------------ what fails


def test_what_earlier_images_raise_comes_first(mnist: RealSample) -> None:
    """The second batch fails at once; that the first is NaN is known only when it is fetched."""
    queue = Queue(100)
    queue.nan_at = 0
    queue.begin_fails_at = {1: UsageError("the network is broken")}
    with pytest.raises(InputError, match="'queue' gave features that are NaN .* for 3 of 100 "):
        run([queue], mnist.images[:200], block=100)


def test_a_network_that_cannot_begin(mnist: RealSample, tmp_path: Path) -> None:
    folder = write_pngs(mnist.images[:80], tmp_path / "x")
    queue = Queue(20)
    queue.begin_fails_at = {0: UsageError("the network is broken")}
    with ImageStream(folder) as stream:
        taking = Extraction(lambda: [queue], stream.num_images, subset=100, seed=SEED)
        with pytest.raises(UsageError, match="^the network is broken$"):
            taking.consume(stream)
        assert stream.report.valid
    assert len(queue.seen) == 1


@pytest.mark.parametrize("nan_at", [0, 3])
def test_nan_is_told_with_the_source_whenever_it_is_fetched(
    mnist: RealSample, tmp_path: Path, nan_at: int
) -> None:
    """In the first hand-over, and in the one that is fetched after the end."""
    np.save(tmp_path / "x.npy", mnist.images[:1600])
    queue = Queue(500)
    queue.nan_at = nan_at
    with ImageStream(tmp_path / "x.npy") as stream:
        taking = Extraction(lambda: [queue], stream.num_images, subset=100, seed=SEED)
        message = f"^{re.escape(str(tmp_path / 'x.npy'))}: extractor 'queue' gave features that"
        with pytest.raises(InputError, match=message):
            taking.consume(stream)


def test_an_invalid_submission_comes_before_what_is_under_way(
    mnist: RealSample, tmp_path: Path
) -> None:
    folder = write_pngs(mnist.images[:1100], tmp_path / "x")
    (folder / "z-torn.png").write_bytes((folder / "00000.png").read_bytes()[:60])
    queue = Queue(20)
    queue.nan_at = 0
    with ImageStream(folder) as stream:
        taking = Extraction(lambda: [queue], stream.num_images, subset=100, seed=SEED)
        with pytest.raises(InvalidSubmission) as caught:
            taking.consume(stream)
    assert caught.value.findings == audit(folder, keep_pixels=False).findings


# ------------------------------------------------------------------------------- a real network


def network(forward: Callable[[torch.Tensor], Outputs], batch_size: int) -> NetworkExtractor:
    return NetworkExtractor(
        name="net", digest="0" * 64, device="cpu", forward=forward, batch_size=batch_size
    )


def sums(x: torch.Tensor) -> Outputs:
    values = x.double().sum(dim=(2, 3)).float()
    return values, values[:, :2] / 7


def test_a_network_queues_and_gives_what_a_call_gives(mnist: RealSample) -> None:
    extractor = network(sums, 64)
    assert isinstance(extractor, QueueingExtractor)
    whole = extractor(mnist.images[:300])
    first = extractor.begin(mnist.images[:200])
    second = extractor.begin(mnist.images[200:300])
    parts = [first(), second()]
    for found, expected in (
        (np.concatenate([part.values for part in parts]), whole.values),
        (np.concatenate([part.logits for part in parts if part.logits is not None]), whole.logits),
    ):
        np.testing.assert_array_equal(found, expected)


def test_what_is_begun_holds_no_images() -> None:
    images = np.zeros((10, 8, 8, 3), np.uint8)
    images_are_there = weakref.ref(images)
    finish = network(sums, 4).begin(images)
    del images
    assert images_are_there() is None
    assert finish().values.shape == (10, 3)


def test_memory_that_runs_out_while_queueing(mnist: RealSample) -> None:
    tried: list[int] = []

    def forward(x: torch.Tensor) -> Outputs:
        tried.append(len(x))
        if len(x) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return sums(x)

    limit = 30
    extractor = network(forward, 100)
    finish = extractor.begin(mnist.images[:100])
    assert tried == [100, 50, 25, 25, 25, 25]
    assert extractor.batch_size == 25
    np.testing.assert_array_equal(finish().values, network(sums, 100)(mnist.images[:100]).values)
    limit = 0
    with pytest.raises(UsageError, match="'net' on cpu: not enough memory for one image: CUDA out"):
        extractor.begin(mnist.images[:100])


@pytest.mark.parametrize("device", DEVICES)
def test_on_each_device_a_stream_gives_what_a_call_gives(mnist: RealSample, device: str) -> None:
    extractor = extractor_row("random-conv").resolve().load(device)
    extractor.batch_size = 150  # type: ignore[misc]  (a protocol's is read-only)
    taking = Extraction(lambda: [extractor], 1000, subset=10_000, seed=SEED)
    for start in range(0, 1000, 128):
        taking.add(mnist.images[start : min(start + 128, 1000)])
    whole = extractor(mnist.images[:1000]).values
    np.testing.assert_allclose(taking.samples()[0].features.values, whole, rtol=1e-5, atol=1e-5)
