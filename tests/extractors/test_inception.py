"""`inception` against torch-fidelity's network with the same weights, and the other protocols
against the packages they are named after.

Weights are random (see `tests.inception_weights`); a published file could not tell more about
agreement.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch_fidelity
from numpy.typing import NDArray
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from bench.errors import BundleError, UnknownNameError, UsageError
from bench.extractors import extractor_row
from bench.extractors.base import Extractor, ExtractorChoice
from bench.extractors.convolution import Conv, round_to_half, round_to_tf32, two_tf32
from bench.extractors.inception import Inception, PooledConv, _Builder, random_state
from bench.runtime.devices import strict_float32
from bench.scoring.scorer import Scorer
from bench.statistics.moments import Features
from bench.studies.image_sets import photo_crops
from tests.conftest import RealSample, write_pngs
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


@pytest.mark.parametrize("kind", ["28x28 grey", "32x32", "64x48", "299x299", "512x384"])
def test_scores_equal_torch_fidelity_on_the_same_folders(
    kind: str, weights: Path, mnist: RealSample, fashion: RealSample, tmp_path: Path
) -> None:
    """Through both programs' public entry points. The FID is that of layer 64, where 66 images
    suffice for a covariance of full rank; see the next test for 2,048.
    """
    if kind == "28x28 grey":
        fakes, reals = (
            mnist.images[:66],
            np.concatenate([mnist.images[66:103], fashion.images[:30]]),
        )
    else:
        height, width = map(int, kind.split("x"))
        fakes, reals = np.split(photo_crops(133, height, width), [66])
        fakes = (fakes // 2 + 30).astype(np.uint8)  # duller, or the FID is all rounding
    fake = write_pngs(fakes, tmp_path / "fake")
    real = write_pngs(reals, tmp_path / "real")
    peer = torch_fidelity.calculate_metrics(
        input1=str(fake),
        input2=str(real),
        cuda=False,
        isc=True,
        fid=True,
        kid=True,
        prc=True,
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=str(weights),
        feature_layer_fid="64",
        kid_subset_size=66,
        verbose=False,
        cache=False,
        save_cpu_ram=True,  # no loader processes
    )
    options: dict[str, Any] = {"weights": weights, "unverified_weights": True}
    metrics = ["kid_poly3", "inception_score", "precision_k3", "recall_k3"]
    record = Scorer(reference=real, metrics=metrics, **options).score(fake)
    shallow = Scorer(reference=real, metrics="fid", layer="64", **options).score(fake)
    fid = peer["frechet_inception_distance"]
    assert shallow.value("fid") == pytest.approx(fid, rel=1e-5)
    score = peer["inception_score_mean"]
    assert record.value("inception_score") == pytest.approx(score, rel=1e-5)
    assert score > 1.0002  # and what is above 1 agrees as well
    assert record.value("inception_score") - 1 == pytest.approx(score - 1, rel=1e-2)
    # its kernel sums are float32, and the three of them cancel: 1e-5 of their size
    kid = peer["kernel_inception_distance_mean"]
    assert record.value("kid_poly3") == pytest.approx(kid, rel=1e-5, abs=1e-5)
    assert record.value("precision_k3") == pytest.approx(peer["precision"], abs=2 / 66 + 1e-9)
    assert record.value("recall_k3") == pytest.approx(peer["recall"], abs=2 / 67 + 1e-9)


def test_fid_of_few_images_is_the_nuclear_norm(
    weights: Path, mnist: RealSample, tmp_path: Path
) -> None:
    """With fewer images than features both covariances are singular. The trace term is then the
    sum of the singular values of A B^T / sqrt((n1-1)(n2-1)), here in float64 from torch-fidelity's
    features. (torch-fidelity's own value is 1e-4 off: it takes roots of rounded zeros.)
    """
    fake, real = mnist.images[:40], mnist.images[100:160]
    peer = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(weights)
    )
    x, y = (peer(as_batch(images))[0].double().numpy() for images in (fake, real))
    a, b = x - x.mean(0), y - y.mean(0)
    scale = np.sqrt((len(x) - 1) * (len(y) - 1))
    trace = np.linalg.svd(a @ b.T / scale, compute_uv=False).sum()
    mean = ((x.mean(0) - y.mean(0)) ** 2).sum()
    expected = mean + (a**2).sum() / (len(x) - 1) + (b**2).sum() / (len(y) - 1) - 2 * trace
    scorer = Scorer(
        reference=write_pngs(real, tmp_path / "real"),
        weights=weights,
        unverified_weights=True,
        metrics="fid",
    )
    assert scorer.score_images(fake, name="fake").value("fid") == pytest.approx(expected, rel=1e-5)


def test_pytorch_fid_protocol_equals_the_package(
    weights: Path, mnist: RealSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytorch_fid import inception as peer_module

    state = torch.load(weights, weights_only=True)
    monkeypatch.setattr(peer_module, "load_state_dict_from_url", lambda *_, **__: state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its torchvision call is of another age
        peer = peer_module.InceptionV3([3]).eval()
    for images in (mnist.images[:3], photo_crops(3, 32, 32), photo_crops(2, 64, 48)):
        with torch.no_grad():
            expected = peer(as_batch(images).float() / 255)[0][:, :, 0, 0]
        assert_close(load(weights, protocol="pytorch-fid")(images).values, expected, 1e-4)


def test_torchmetrics_protocol_equals_the_package(weights: Path, mnist: RealSample) -> None:
    from torchmetrics.image.fid import NoTrainInceptionV3

    peer = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(weights))
    for images in (mnist.images[:3], photo_crops(3, 32, 32), photo_crops(2, 400, 320)):
        with torch.no_grad():
            expected = peer(as_batch(images))
        assert_close(load(weights, protocol="torchmetrics")(images).values, expected, 1e-4)


def test_clean_fid_protocol_equals_the_package(weights: Path, mnist: RealSample) -> None:
    """Its resizer and its wrapper; the TorchScript network inside it is the same architecture."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cleanfid.inception_torchscript import InceptionV3W
        from cleanfid.resize import build_resizer

        resize = build_resizer("clean")
    network = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(weights)
    )

    class Layers(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """torch-fidelity's layers on an input that is scaled already: undo, then let it."""
            return network_without_resize(network, x)

    peer = InceptionV3W.__new__(InceptionV3W)
    torch.nn.Module.__init__(peer)
    peer.layers, peer.resize_inside = Layers(), False
    for images in (mnist.images[:3], photo_crops(3, 32, 32), photo_crops(2, 400, 320)):
        resized = np.stack(
            [resize(np.broadcast_to(image, (*image.shape[:2], 3))) for image in images]
        )
        with torch.no_grad():
            expected = peer(torch.from_numpy(resized).permute(0, 3, 1, 2).contiguous())
        assert_close(load(weights, protocol="clean-fid")(images).values, expected, 1e-4)


def network_without_resize(network: FeatureExtractorInceptionV3, x: torch.Tensor) -> torch.Tensor:
    """Run torch-fidelity's modules one after the other on a scaled N,3,299,299."""
    order = (
        "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 MaxPool_1 Conv2d_3b_1x1 Conv2d_4a_3x3 MaxPool_2 "
        "Mixed_5b Mixed_5c Mixed_5d Mixed_6a Mixed_6b Mixed_6c Mixed_6d Mixed_6e "
        "Mixed_7a Mixed_7b Mixed_7c AvgPool"
    )
    for name in order.split():
        x = getattr(network, name)(x)
    return x.flatten(1)


def test_protocols_differ_where_they_must(weights: Path, mnist: RealSample) -> None:
    small, exact_size = mnist.images[:3], photo_crops(2, 299, 299)
    found = {p: load(weights, protocol=p) for p in extractor_row("inception").protocols}
    on_small = {p: extractor(small).values for p, extractor in found.items()}
    base = on_small["torch-fidelity"]
    for protocol in ("clean-fid", "pytorch-fid", "torchmetrics"):
        assert np.abs(on_small[protocol] - base).max() > 1e-3 * np.abs(base).max()
    on_exact = {p: extractor(exact_size).values for p, extractor in found.items()}
    for protocol in ("clean-fid", "torchmetrics"):  # nothing to resize, the same scale
        np.testing.assert_allclose(on_exact[protocol], on_exact["torch-fidelity"], rtol=1e-5)
    # 127.5 for 128: the input is shifted and stretched by 0.4 %
    difference = np.abs(on_exact["pytorch-fid"] - on_exact["torch-fidelity"]).max()
    assert difference > 1e-4 * np.abs(on_exact["torch-fidelity"]).max()


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
