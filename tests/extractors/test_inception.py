"""`inception` against torch-fidelity's network with the same weights, and the other protocols
against the packages they are named after.

Weights are random (see `tests.inception_weights`); a published file could not tell more about
agreement.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from bench.errors import BundleError, UnknownNameError, UsageError
from bench.extractors import extractor_row
from bench.extractors.base import Extractor, ExtractorChoice
from bench.extractors.convolution import Conv, round_to_half, round_to_tf32, two_tf32
from bench.extractors.inception import Inception, PooledConv, _Builder, random_state
from bench.runtime.devices import strict_float32
from bench.statistics.moments import Features
from bench.studies.image_sets import photo_crops
from tests.conftest import RealSample
from tests.inception_weights import save_random_weights

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
LAYERS = ("64", "192", "768", "2048", "logits")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_weights(tmp_path_factory.mktemp("weights") / "random.pth")


def load(weights: Path, device: str = "cpu", **choice: Any) -> Extractor:
    row = extractor_row("inception")
    choices = ExtractorChoice(weights=weights, unverified_weights=True, **choice)
    return row.resolve(choices).load(device)


def as_batch(images: NDArray[np.uint8]) -> torch.Tensor:
    """uint8 N,3,H,W as torch-fidelity takes it."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).expand(-1, 3, -1, -1).contiguous()


def assert_close(found: NDArray[np.floating], expected: torch.Tensor, tolerance: float) -> None:
    """Equal to `tolerance` of the largest value."""
    largest = float(expected.abs().max())
    assert largest > 0
    np.testing.assert_allclose(found, expected.cpu().numpy(), rtol=0, atol=tolerance * largest)


def images_of(kind: str, mnist: RealSample) -> NDArray[np.uint8]:
    if kind == "28x28 grey":
        return mnist.images[:6]
    height, width = map(int, kind.split("x"))
    return photo_crops(4, height, width)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["28x28 grey", "32x32", "64x48", "299x299", "512x384"])
def test_every_layer_equals_torch_fidelity(
    kind: str, device: str, weights: Path, mnist: RealSample
) -> None:
    """In strict float32, which is TF32 on a GPU unless torch-fidelity is told."""
    images = images_of(kind, mnist)
    layers = ["64", "192", "768", "2048", "logits_unbiased", "logits"]
    peer = FeatureExtractorInceptionV3(
        "inception-v3-compat", layers, feature_extractor_weights_path=str(weights)
    )
    with strict_float32():
        found = peer.to(device)(as_batch(images).to(device))
    expected = dict(zip(layers, found, strict=True))
    for layer in LAYERS:
        features = load(weights, device, layer=layer)(images)
        assert_close(features.values, expected[layer], 1e-5)
        assert features.logits is not None
        assert_close(features.logits, expected["logits_unbiased"], 1e-5)


def relative_error(found: Features, expected: Features) -> float:
    return float(np.linalg.norm(found.values - expected.values) / np.linalg.norm(expected.values))


def test_precisions_are_ordered(weights: Path, mnist: RealSample) -> None:
    """Half of a unit in the last place is 2^-11 = 5e-4 for tf32 and fp16; averages over many
    products make less of it. Of two terms each, 2^-22 is left, and float32's own rounding.
    """
    images = mnist.images[:8]
    exact = load(weights)(images)
    errors = {
        precision: relative_error(load(weights, precision=precision)(images), exact)
        for precision in ("tf32", "fp16", "tf32x3")
    }
    assert 0 < errors["tf32x3"] < 3e-6
    assert 1e-4 < errors["tf32"] < 2e-3
    assert 1e-4 < errors["fp16"] < 2e-3


# tf32: a GPU cuts off what the CPU form rounds. fp16: sums in another order fall to another half.
FORMS = {"exact": 1e-5, "tf32x3": 1e-5, "tf32": 1.5e-3, "fp16": 3e-4}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", FORMS)
def test_each_precision_is_the_cpu_form(
    precision: str, device: str, weights: Path, mnist: RealSample
) -> None:
    """A GPU's units against the same roundings in float32; and not simply `exact` on both."""
    images = mnist.images[:4]
    expected = load(weights, precision=precision)(images)
    found = load(weights, device, precision=precision, batch_size=3)(images)
    assert relative_error(found, expected) < FORMS[precision]
    if precision in ("tf32", "fp16"):
        assert 1e-4 < relative_error(found, load(weights, device)(images)) < 2e-3


@pytest.mark.parametrize("pooled", [False, True])
def test_half_precision_rounds_where_a_gpu_stores(pooled: bool) -> None:
    """Input, weights, the convolution's result, bias, their sum and the pool's mean, by hand in
    float64; a second rounding of the input alone would give other bits.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((2, 5, 7, 6), generator=generator)
    weight = torch.randn((4, 5, 1, 1), generator=generator)
    bias = torch.randn(4, generator=generator)
    convolution = Conv(weight, bias)
    network = PooledConv(convolution) if pooled else convolution
    convolution.set_precision("fp16", "cpu")

    def half(values: NDArray[np.floating]) -> NDArray[np.float64]:
        return values.astype(np.float32).astype(np.float16).astype(np.float64)

    products = half(weight.numpy())[:, :, 0, 0] @ half(x.numpy()).reshape(2, 5, 42)
    expected = half(half(products) + half(bias.numpy())[:, None]).reshape(2, 4, 7, 6)
    if pooled:
        padded = np.pad(expected, ((0, 0), (0, 0), (1, 1), (1, 1)))
        inside = np.pad(np.ones((7, 6)), 1)
        shifts = [np.s_[..., i : i + 7, j : j + 6] for i in range(3) for j in range(3)]
        expected = half(sum(padded[s] for s in shifts) / sum(inside[s] for s in shifts))
    np.testing.assert_array_equal(network(x).numpy(), np.maximum(expected, 0))


@pytest.mark.parametrize("precision", ["exact", "fp16"])
def test_a_process_that_allows_bfloat16_gets_the_same_bits(
    precision: str, weights: Path, mnist: RealSample
) -> None:
    """The setting makes a difference on processors with bfloat16 units."""
    expected = load(weights, precision=precision)(mnist.images[:2])
    torch.backends.mkldnn.conv.fp32_precision = "bf16"  # type: ignore[attr-defined]
    try:
        found = load(weights, precision=precision)(mnist.images[:2])
        assert torch.backends.mkldnn.conv.fp32_precision == "bf16"  # type: ignore[attr-defined]
    finally:
        torch.backends.mkldnn.conv.fp32_precision = "none"  # type: ignore[attr-defined]
    np.testing.assert_array_equal(found.values, expected.values)


def test_rounding_by_hand() -> None:
    one = torch.ones(1)
    ulp = 2.0**-10
    values = torch.tensor([1.0, 1 + ulp / 2, 1 + ulp * 1.5, 1 + ulp * 0.51, -1 - ulp * 0.49, 0.0])
    # ties go to the even neighbour: 1 + ulp/2 to 1, 1 + 1.5 ulp to 1 + 2 ulp
    expected = torch.tensor([1.0, 1.0, 1 + 2 * ulp, 1 + ulp, -1.0, 0.0])
    assert torch.equal(round_to_tf32(values), expected)
    assert torch.equal(round_to_half(values), expected)
    # a second term has what the first one leaves, down to 2^-22
    third = torch.full((1,), 1 / 3)
    assert abs(float(two_tf32(third) - third)) <= 2.0**-23 / 3
    assert float(round_to_tf32(third) - third) != 0
    # the range is float32's for the one, 65504 for the other
    assert torch.equal(round_to_tf32(one * 2.0**100), one * 2.0**100)
    assert torch.isinf(round_to_half(one * 1e5)).all()


def test_rows_do_not_depend_on_company(weights: Path, mnist: RealSample) -> None:
    images = mnist.images[:9]
    whole = load(weights, batch_size=8)(images)
    order = np.random.default_rng(0).permutation(9)
    for batch_size in (1, 4):
        found = load(weights, batch_size=batch_size)(images[order])
        assert_close(found.values, torch.from_numpy(whole.values[order]), 1e-5)


def test_grey_is_the_same_as_equal_channels(weights: Path, mnist: RealSample) -> None:
    grey, extractor = mnist.images[:3], load(weights)
    colour = np.repeat(grey, 3, axis=3)
    np.testing.assert_allclose(extractor(colour).values, extractor(grey).values, rtol=1e-5)


@pytest.mark.parametrize("side", [8, 2048])
def test_the_smallest_and_the_largest_images(weights: Path, side: int) -> None:
    rng = np.random.default_rng(side)
    found = load(weights)(rng.integers(0, 256, (1, side, side, 3), dtype=np.uint8))
    assert found.values.shape == (1, 2048)
    assert np.isfinite(found.values).all()


def saved(tmp_path: Path, state: object) -> Path:
    path = tmp_path / "bad.pth"
    torch.save(state, path)
    return path


def test_weights_that_are_not_inception(tmp_path: Path, weights: Path) -> None:
    state = random_state()
    lacking = dict(state)
    del lacking["Mixed_6c.branch7x7_2.conv.weight"]
    with pytest.raises(BundleError, match=r"bad.pth: no tensor 'Mixed_6c.branch7x7_2.conv.weight'"):
        load(saved(tmp_path, lacking))
    wrong = state | {"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 1, 3, 3)}
    with pytest.raises(BundleError, match=r"Conv2d_1a_3x3.conv.weight' has shape \(32, 1, 3, 3\)"):
        load(saved(tmp_path, wrong))
    with pytest.raises(BundleError, match="1 tensors that InceptionV3 does not have.*'extra'"):
        load(saved(tmp_path, state | {"extra": torch.zeros(1)}))
    truncated = tmp_path / "truncated.pth"
    truncated.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    with pytest.raises(BundleError, match="truncated.pth"):
        load(truncated)


def test_weights_that_no_training_gives(tmp_path: Path, weights: Path) -> None:
    """A rectifier may turn NaN into 0: features would be finite."""
    state = torch.load(weights, weights_only=True)
    variance = "Mixed_5b.branch1x1.bn.running_var"
    below = state | {variance: -torch.ones_like(state[variance])}
    with pytest.raises(BundleError, match=r"bad.pth: Mixed_5b.branch1x1 with .* NaN or infinite"):
        load(saved(tmp_path, below))
    weight = "Conv2d_1a_3x3.conv.weight"
    huge = state | {weight: state[weight].double() * 1e300}
    with pytest.raises(BundleError, match=r"Conv2d_1a_3x3 with its batch norm is NaN or infinite"):
        Inception(_Builder(huge, Path("bad.pth")))
    huge = state | {"fc.weight": state["fc.weight"].double() * 1e300}
    with pytest.raises(BundleError, match=r"bad.pth: fc.weight is NaN or infinite in float32"):
        Inception(_Builder(huge, Path("bad.pth")))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_weights_saved_in_another_width(
    dtype: torch.dtype, tmp_path: Path, weights: Path, mnist: RealSample
) -> None:
    state = torch.load(weights, weights_only=True)
    state = {name: value.to(dtype) for name, value in state.items()}
    exact = load(weights)(mnist.images[:2])
    found = load(saved(tmp_path, state))(mnist.images[:2])
    assert relative_error(found, exact) < (1e-6 if dtype == torch.float64 else 2e-3)
    assert found.logits is not None
    assert found.logits.dtype == np.float32


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.float8_e4m3fn])
def test_the_last_layer_is_float32_however_saved(dtype: torch.dtype, weights: Path) -> None:
    state = torch.load(weights, weights_only=True)
    state |= {name: state[name].to(dtype) for name in ("fc.weight", "fc.bias")}
    network = Inception(_Builder(state, weights))
    assert torch.equal(network.fc_weight, state["fc.weight"].float())
    assert torch.equal(network.fc_bias, state["fc.bias"].float())
    assert network.fc_weight.dtype == network.fc_bias.dtype == torch.float32


@pytest.mark.parametrize("name", ["fc.bias", "fc.weight", "Mixed_7c.branch1x1.bn.bias"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64, torch.bool])
def test_weights_that_are_no_real_numbers(name: str, dtype: torch.dtype, weights: Path) -> None:
    state = torch.load(weights, weights_only=True)
    state[name] = state[name].to(dtype)
    with pytest.raises(BundleError, match=rf"{name}' is {dtype}, expected real floating point"):
        Inception(_Builder(state, weights))


def test_no_memory_for_the_weights(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error: Exception = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(Conv, "set_precision", fails)
    with pytest.raises(UsageError, match=r"'inception' on cpu: not enough memory for its weights"):
        load(weights, precision="tf32x3")
    error = RuntimeError("shapes differ")
    with pytest.raises(RuntimeError, match="shapes differ"):
        load(weights, precision="tf32x3")


def test_compiling_is_for_a_gpu(weights: Path) -> None:
    with pytest.raises(UsageError, match="--compile is for a GPU"):
        load(weights, compiled=True)
    with pytest.raises(UsageError, match="'digits' has no compiled form"):
        extractor_row("digits").resolve(ExtractorChoice(compiled=True))


def test_choices_that_do_not_exist(weights: Path) -> None:
    with pytest.raises(UnknownNameError, match="precision of extractor 'inception' 'bf16'.*exact"):
        load(weights, precision="bf16")
    with pytest.raises(UnknownNameError, match="layer of extractor 'inception' '1024'"):
        load(weights, layer="1024")
    with pytest.raises(UnknownNameError, match="protocol of extractor .* Did you mean 'clean-fid'"):
        load(weights, protocol="cleanfid")
    with pytest.raises(UsageError, match="'digits' has no choice of precision"):
        extractor_row("digits").resolve(ExtractorChoice(precision="fp16"))


def test_the_state_of_torch_is_put_back(weights: Path, mnist: RealSample) -> None:
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    for precision in ("exact", "tf32"):
        load(weights, precision=precision)(mnist.images[:1])
    assert (torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()) == before


def test_without_weights_and_network_the_way_out_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(
        "bench.runtime.download.fetch",
        lambda *_, **__: (_ for _ in ()).throw(BundleError("no network")),
    )
    with pytest.raises(BundleError) as caught:
        extractor_row("inception").resolve()
    message = str(caught.value)
    for part in (
        "weights-inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/",
        "6726825d...",
        "--weights FILE",
        "LATENTBENCH_WEIGHTS",
        str(tmp_path),
    ):
        assert part in message
