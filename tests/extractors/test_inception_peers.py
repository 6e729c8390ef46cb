"""Scores by Inception against torch-fidelity, pytorch-fid, torchmetrics and clean-fid.

Each pair sees the same images and weights.
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
from torch_fidelity.metric_isc import isc_features_to_metric

from bench.extractors import extractor_row
from bench.extractors.base import Extractor, ExtractorChoice
from bench.references.image_deal import ImageDeal
from bench.scoring.scorer import Scorer
from bench.studies.image_sets import photo_crops
from tests.conftest import RealSample, write_pngs
from tests.inception_weights import save_random_weights


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


def two_sets(
    kind: str, n: int, mnist: RealSample, fashion: RealSample
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return n images, and n + 1 others that differ from them in kind."""
    if kind == "28x28 grey":
        fakes = mnist.images[:n]
        reals = np.concatenate([mnist.images[n : n + n // 2], fashion.images[: n + 1 - n // 2]])
    else:
        height, width = map(int, kind.split("x"))
        fakes, reals = np.split(photo_crops(2 * n + 1, height, width), [n])
        fakes = (fakes // 2 + 30).astype(np.uint8)  # duller, or the FID is all rounding
    return fakes, reals


def torch_fidelity_scores(fake: Path, real: Path, weights: Path, **options: Any) -> dict[str, Any]:
    return torch_fidelity.calculate_metrics(
        input1=str(fake),
        input2=str(real),
        cuda=False,
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=str(weights),
        verbose=False,
        cache=False,
        save_cpu_ram=True,  # no loader processes
        **options,
    )


def peer_inception_score(images: NDArray[np.uint8], weights: Path) -> float:
    """Return torch-fidelity's score of each of our splits, averaged.

    Its own splits depend on the names of the files.
    """
    name = "logits_unbiased"
    network = FeatureExtractorInceptionV3(
        "inception-v3-compat", [name], feature_extractor_weights_path=str(weights)
    )
    logits = network(as_batch(images))[0]
    deal = ImageDeal(2020)
    deal.add(images)
    splits = torch.from_numpy(deal.splits(0, len(images)))
    scores = [
        isc_features_to_metric(logits[splits == number], splits=1, shuffle=False)
        for number in splits.unique()
    ]
    return float(np.mean([score["inception_score_mean"] for score in scores]))


@pytest.mark.parametrize("kind", ["28x28 grey", "64x48"])
def test_fid_equals_torch_fidelity_on_the_same_folders(
    kind: str, weights: Path, mnist: RealSample, fashion: RealSample, tmp_path: Path
) -> None:
    """Through both programs' public entry points, at layer 64, where 66 images give a covariance
    of full rank; see below for 2,048.
    """
    fakes, reals = two_sets(kind, 66, mnist, fashion)
    fake, real = write_pngs(fakes, tmp_path / "fake"), write_pngs(reals, tmp_path / "real")
    peer = torch_fidelity_scores(fake, real, weights, fid=True, feature_layer_fid="64")
    scorer = Scorer(
        reference=real, metrics="fid", layer="64", weights=weights, unverified_weights=True
    )
    expected = peer["frechet_inception_distance"]
    assert scorer.score(fake).value("fid") == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["28x28 grey", "32x32", "64x48", "299x299", "512x384"])
def test_scores_equal_torch_fidelity_on_the_same_folders(
    kind: str, weights: Path, mnist: RealSample, fashion: RealSample, tmp_path: Path
) -> None:
    """Through both programs' public entry points."""
    fakes, reals = two_sets(kind, 20, mnist, fashion)
    fake, real = write_pngs(fakes, tmp_path / "fake"), write_pngs(reals, tmp_path / "real")
    peer = torch_fidelity_scores(fake, real, weights, kid=True, prc=True, kid_subset_size=20)
    metrics = ["kid_poly3", "inception_score", "precision_k3", "recall_k3"]
    record = Scorer(
        reference=real, metrics=metrics, weights=weights, unverified_weights=True
    ).score(fake)
    score = peer_inception_score(fakes, weights)
    assert record.value("inception_score") == pytest.approx(score, rel=1e-5)
    assert score > 1.0001  # and what is above 1 agrees as well
    assert record.value("inception_score") - 1 == pytest.approx(score - 1, rel=1e-2)
    # its kernel sums are float32, and the three of them cancel: 1e-5 of their size
    kid = peer["kernel_inception_distance_mean"]
    assert record.value("kid_poly3") == pytest.approx(kid, rel=1e-5, abs=1e-5)
    assert record.value("precision_k3") == pytest.approx(peer["precision"], abs=1 / 20 + 1e-9)
    assert record.value("recall_k3") == pytest.approx(peer["recall"], abs=1 / 21 + 1e-9)


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
