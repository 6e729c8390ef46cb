"""Batches, back-off when memory runs out, grey and colour."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.errors import InputError, UsageError
from bench.extractors import network as network_module
from bench.extractors.compiling import CompiledOncePaid
from bench.extractors.network import NetworkExtractor

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
IMAGES = np.random.default_rng(0).integers(0, 256, (23, 10, 12, 3), dtype=np.uint8)


def means(x: Tensor) -> tuple[Tensor, Tensor | None]:
    """The mean of each channel: what every batch size must give alike."""
    return x.float().mean(dim=(2, 3)), None


def extractor(forward: object = means, **options: object) -> NetworkExtractor:
    settings = {"name": "means", "digest": "0", "device": "cpu", "batch_size": 8}
    return NetworkExtractor(forward=forward, **(settings | options))  # type: ignore[arg-type]


class Scarce:
    """Fails as an allocator does for batches above `limit`."""

    def __init__(self, limit: int, error: Exception) -> None:
        self.limit, self.error = limit, error
        self.tried: list[int] = []

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        self.tried.append(len(x))
        if len(x) > self.limit:
            raise self.error
        return means(x)


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    MemoryError("no memory"),
    MemoryError(),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:114] . DefaultCPUAllocator: can't allocate memory"
    ),
    torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be reported late"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"),
    RuntimeError("std::bad_alloc"),
]
KINDS = ["cuda", "python", "bare", "cpu", "driver", "cublas", "cudnn", "cudnn host", "c++"]


@pytest.mark.parametrize("error", ERRORS, ids=KINDS)
@pytest.mark.parametrize("limit", [1, 3, 8])
def test_a_batch_too_large_is_halved_and_nothing_changes(error: Exception, limit: int) -> None:
    scarce = Scarce(limit, error)
    network = extractor(scarce)
    np.testing.assert_array_equal(network(IMAGES).values, extractor()(IMAGES).values)
    assert network.batch_size <= limit
    failures = [tried for tried in scarce.tried if tried > limit]
    assert failures == {8: [], 3: [8, 4], 1: [8, 4, 2]}[limit]
    network(IMAGES)  # what was learned is kept
    assert [tried for tried in scarce.tried if tried > limit] == failures


@pytest.mark.parametrize("device", DEVICES)
def test_backing_off_leaves_the_order_and_the_values(device: str) -> None:
    """Through pinned memory and back on a GPU, with batches under way while memory runs out."""
    scarce = Scarce(5, torch.OutOfMemoryError("CUDA out of memory"))
    network = extractor(scarce, device=device, batch_size=20)
    images = np.random.default_rng(1).integers(0, 256, (230, 64, 48, 3), dtype=np.uint8)
    found = network(images)
    assert scarce.tried[:4] == [20, 10, 5, 5]
    np.testing.assert_allclose(found.values, images.mean(axis=(1, 2)), rtol=1e-5)


def test_results_are_awaited_on_the_stream_that_copies_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second GPU's, while the first is the current one."""
    recorded: list[str] = []
    event = SimpleNamespace(record=recorded.append, synchronize=lambda: recorded.append("awaited"))
    monkeypatch.setattr(torch.cuda, "Event", lambda: event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
    monkeypatch.setattr(network_module, "_to_host", lambda part: part)
    on_second = SimpleNamespace(is_cuda=True, device="cuda:1")
    pending = network_module._Pending((on_second, None))  # type: ignore[arg-type]
    assert recorded == ["stream of cuda:1"]
    assert pending.result() == (on_second, None)
    assert recorded == ["stream of cuda:1", "awaited"]


def test_what_is_compiled_follows_the_batch_size(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled_sizes: list[int] = []

    def compiled(network: Scarce, *, dynamic: bool) -> Scarce:
        return lambda x: (compiled_sizes.append(len(x)), network(x))[1]  # type: ignore

    monkeypatch.setattr(torch, "compile", compiled)
    compiling = CompiledOncePaid(Scarce(4, MemoryError()), 8, cost_s=0)
    network = extractor(compiling, compiling=compiling)
    np.testing.assert_array_equal(network(IMAGES).values, extractor()(IMAGES).values)
    assert compiled_sizes == [4, 4, 4, 4]  # 23 images: the first batch is plain, the last is small


@pytest.mark.parametrize("error", ERRORS, ids=KINDS)
def test_not_enough_memory_for_one_image(error: Exception) -> None:
    with pytest.raises(UsageError, match="'means' on cpu: not enough memory for one image"):
        extractor(Scarce(0, error))(IMAGES)


def test_the_first_batch_is_timed_once() -> None:
    def slow(x: Tensor) -> tuple[Tensor, Tensor | None]:
        time.sleep(0.02)
        return means(x)

    network = extractor(slow)
    assert network.first_batch_s is None
    network(IMAGES)
    first_s = network.first_batch_s
    assert first_s is not None
    assert 0.02 <= first_s < 10
    network(IMAGES)
    assert network.first_batch_s == first_s


def test_other_errors_are_not_mistaken_for_memory() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"):
        extractor(Scarce(3, RuntimeError("shapes differ")))(IMAGES)


def test_rows_come_in_the_order_of_the_images() -> None:
    expected = IMAGES.mean(axis=(1, 2))
    np.testing.assert_allclose(extractor()(IMAGES).values, expected, rtol=1e-6)


def test_progress_counts_every_image() -> None:
    seen: list[tuple[int, int]] = []
    extractor()(IMAGES, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(8, 23), (16, 23), (23, 23)]


def test_grey_is_replicated_and_colour_reduced() -> None:
    grey = IMAGES[..., :1]
    found = extractor()(grey).values
    np.testing.assert_array_equal(found, np.repeat(found[:, :1], 3, axis=1))
    one_channel = extractor(channels=1)(IMAGES).values
    assert one_channel.shape == (23, 1)
    luma = IMAGES @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(one_channel[:, 0], luma.mean(axis=(1, 2)), atol=0.5)


@pytest.mark.parametrize(("height", "width"), [(7, 20), (20, 2049), (1, 1)])
def test_sizes_outside_8_to_2048_px(height: int, width: int) -> None:
    images = np.zeros((1, height, width, 3), np.uint8)
    with pytest.raises(InputError, match=f"{width}x{height} px .*8 to 2048 px a side"):
        extractor()(images)


@pytest.mark.parametrize("side", [8, 2048])
def test_the_smallest_and_the_largest_size(side: int) -> None:
    assert extractor()(np.full((1, side, side, 1), 7, np.uint8)).values.tolist() == [[7, 7, 7]]


def test_logits_are_kept_beside_the_features() -> None:
    features = extractor(lambda x: (means(x)[0], x[:, :, 0, 0].float()))(IMAGES)
    assert features.logits is not None
    np.testing.assert_array_equal(features.logits, IMAGES[:, 0, 0].astype(np.float32))
