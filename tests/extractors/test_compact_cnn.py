"""The embedded extractors: what they recognise, and that a feature belongs to its image alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional as F

from bench.errors import BundleError, InputError, UnknownNameError
from bench.extractors import EXTRACTORS, extractor_row
from bench.extractors.base import Extractor, PackagedWeights, luma
from bench.extractors.compact_cnn import CompactCNN, load_model
from bench.extractors.network import NetworkExtractor
from bench.references.bundle import load_reference, verify
from bench.references.lookup import find_manifest
from bench.runtime.npz import arrays_from_bytes
from tests.conftest import RealSample

TOLERANCE = 1e-5


@pytest.fixture(scope="session")
def digits() -> NetworkExtractor:
    extractor = EXTRACTORS["digits"].resolve().load()
    assert isinstance(extractor, NetworkExtractor)
    return extractor


def load_digits() -> CompactCNN:
    weights = EXTRACTORS["digits"].weights
    assert isinstance(weights, PackagedWeights)
    return load_model(weights, "digits")


@pytest.mark.parametrize(("reference", "required"), [("mnist", 0.994), ("fashion-mnist", 0.925)])
def test_accuracy_on_the_whole_test_split(reference: str, required: float) -> None:
    """From the committed logits of all 10,000 test images; the next test ties them to images."""
    manifest, data = verify(find_manifest(reference))
    arrays = arrays_from_bytes(data, reference)
    assert manifest.num_test == 10_000
    predicted = np.asarray(arrays["test_logits"]).argmax(axis=1)
    assert (predicted == arrays["test_labels"]).mean() >= required


@pytest.mark.parametrize("reference", ["mnist", "fashion-mnist"])
def test_committed_features_are_those_of_the_images(
    reference: str, request: pytest.FixtureRequest
) -> None:
    sample: RealSample = request.getfixturevalue(reference.split("-", maxsplit=1)[0])
    bundle = load_reference(find_manifest(reference))
    features = EXTRACTORS[bundle.manifest.extractor].resolve().load()(sample.images)
    assert bundle.test is not None
    assert bundle.test.logits is not None
    assert features.logits is not None
    # float16 keeps 11 bits: half a unit in the last place is 2^-11 of the value
    np.testing.assert_allclose(bundle.test.values[:2000], features.values, rtol=2**-11, atol=2e-5)
    np.testing.assert_allclose(bundle.test.logits[:2000], features.logits, rtol=2**-11, atol=1e-4)
    labels = arrays_from_bytes(verify(find_manifest(reference))[1], reference)["test_labels"]
    np.testing.assert_array_equal(labels[:2000], sample.labels)


def worst_difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.abs(a - b).max())


@settings(max_examples=12, deadline=None)
@given(
    batch_size=st.integers(1, 97),
    seed=st.integers(0, 2**32 - 1),
    num_threads=st.sampled_from([1, 2, 3]),
)
def test_features_do_not_depend_on_company(
    digits: NetworkExtractor, mnist: RealSample, batch_size: int, seed: int, num_threads: int
) -> None:
    images = mnist.images[:96]
    whole = digits(images)
    order = np.random.default_rng(seed).permutation(len(images))
    threads = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        found = replace(digits, batch_size=batch_size)(images[order])
    finally:
        torch.set_num_threads(threads)
    assert worst_difference(found.values, whole.values[order]) <= TOLERANCE
    assert found.logits is not None
    assert whole.logits is not None
    np.testing.assert_allclose(found.logits, whole.logits[order], rtol=1e-5, atol=1e-4)


def test_forward_agrees_with_float64(digits: NetworkExtractor, mnist: RealSample) -> None:
    """The same weights through functional convolutions in float64, written out again."""
    weights = {name: value.double() for name, value in load_digits().state_dict().items()}
    x = torch.from_numpy(mnist.images[:32, :, :, 0]).double()[:, None] / 255

    def conv(name: str, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)

    stem = conv("stem", (x - weights["pixel_mean"]) / weights["pixel_std"]).clamp(min=0)
    levels = [stem]
    for part in ("mid", "top"):
        x = conv(f"{part}_in", F.max_pool2d(levels[-1], 2)).clamp(min=0)
        inner = conv(f"{part}_a", x).clamp(min=0)
        levels.append((x + conv(f"{part}_b", inner)).clamp(min=0))
    pooled = torch.cat([level.mean((2, 3)) for level in levels], 1)
    expected = (pooled - weights["feature_mean"]) / weights["feature_std"]
    found = digits(mnist.images[:32]).values
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=TOLERANCE)


def test_rgb_with_equal_channels_is_grey(digits: Extractor, mnist: RealSample) -> None:
    grey = mnist.images[:10]
    np.testing.assert_array_equal(digits(np.repeat(grey, 3, axis=3)).values, digits(grey).values)


def test_luma_is_itu_r_601() -> None:
    primaries = np.array([[[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]]], np.uint8)
    # 0.299 * 255 = 76.245, 0.587 * 255 = 149.685, 0.114 * 255 = 29.07
    assert luma(primaries)[0, 0, :, 0].tolist() == [76, 150, 29, 255]


def test_progress_reaches_the_end(digits: Extractor, mnist: RealSample) -> None:
    seen: list[tuple[int, int]] = []
    digits(mnist.images[:600], progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (600, 600)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 32, 28, 1), np.uint8), "takes 28x28 px images, got 28x32"),
        (np.zeros((0, 28, 28, 1), np.uint8), "N >= 1"),
        (np.zeros((2, 28, 28), np.uint8), "needs uint8 images N,H,W,C"),
        (np.zeros((2, 28, 28, 1), np.float32), "needs uint8 images"),
    ],
)
def test_images_that_do_not_fit(digits: Extractor, images: NDArray[np.uint8], message: str) -> None:
    with pytest.raises(InputError, match=message):
        digits(images)


def test_damaged_weights_are_refused() -> None:
    with pytest.raises(BundleError, match="digits.safetensors of 'digits' are damaged"):
        PackagedWeights("digits.safetensors", "0" * 64).read("digits")
    with pytest.raises(BundleError, match="weights nowhere"):
        PackagedWeights("nowhere", "0" * 64).read("digits")


def test_weights_are_small_and_names_are_listed() -> None:
    for name in ("digits", "fashion"):
        weights = EXTRACTORS[name].weights
        assert isinstance(weights, PackagedWeights)
        assert len(weights.read(name)) < 2_000_000
    with pytest.raises(UnknownNameError, match="Did you mean 'digits'.*Valid: .*digits.*fashion"):
        extractor_row("digit")
