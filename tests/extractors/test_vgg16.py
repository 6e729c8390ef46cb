"""VGG16: features are those of torch-fidelity, and of the tool that course teams quote.

The network is narrowed; the weights are random, and both sides read them from one file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16
from torchvision import transforms

from bench.extractors import EXTRACTORS
from bench.extractors.base import ExtractorChoice
from bench.extractors.network import NetworkExtractor
from bench.extractors.weights_files import HostedWeights
from tests.extractors.vgg16_weights import narrow, narrow_vgg16, save_weights

COLOUR = np.random.default_rng(5).integers(0, 256, (3, 40, 56, 3), dtype=np.uint8)
LARGE = np.random.default_rng(6).integers(0, 256, (2, 300, 240, 3), dtype=np.uint8)
GREY = np.random.default_rng(7).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)


def test_constants_are_those_of_torchvision_and_torch_fidelity() -> None:
    hosted = EXTRACTORS["vgg16"].weights
    assert isinstance(hosted, HostedWeights)
    url = torchvision.models.VGG16_Weights.IMAGENET1K_V1.url
    assert hosted.url == url
    assert hosted.file_name == url.rsplit("/", 1)[1]
    assert url.endswith(f"-{hosted.sha256}.pth")
    offered = set(FeatureExtractorVGG16.get_provided_features_list())
    assert set(EXTRACTORS["vgg16"].layers) == offered
    default = FeatureExtractorVGG16.get_default_feature_layer_for_metric("fid")
    assert EXTRACTORS["vgg16"].layers[0] == default


def ours(weights: Path, protocol: str, layer: str) -> NetworkExtractor:
    choice = ExtractorChoice(
        weights=weights, unverified_weights=True, protocol=protocol, layer=layer
    )
    extractor = EXTRACTORS["vgg16"].resolve(choice).load("cpu")
    assert isinstance(extractor, NetworkExtractor)
    return extractor


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert expected.std() > 1e-3
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("layer", ["fc2_relu", "fc2"])
def test_features_are_those_of_torch_fidelity(
    layer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow(monkeypatch)
    weights = save_weights(tmp_path)
    theirs = FeatureExtractorVGG16("vgg16", [layer], feature_extractor_weights_path=str(weights))
    with torch.no_grad():
        (expected,) = theirs(torch.from_numpy(COLOUR).permute(0, 3, 1, 2))
    assert_close(ours(weights, "torch-fidelity", layer)(COLOUR).values, expected.numpy())


@pytest.mark.parametrize("images", [COLOUR, LARGE, GREY], ids=["small", "large", "grey"])
def test_features_are_those_of_the_precision_and_recall_tool(
    images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its loader and its slice of the classifier, written again with torchvision alone."""
    narrow(monkeypatch)
    weights = save_weights(tmp_path)
    model = narrow_vgg16()
    model.load_state_dict(torch.load(weights, weights_only=True))
    model.eval()
    load = transforms.Compose(
        [
            transforms.Resize([224, 224]),
            transforms.ToTensor(),
            transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        ]
    )
    files = [Image.fromarray(image.squeeze()).convert("RGB") for image in images]
    with torch.no_grad():
        batch = model.features(torch.stack([load(file) for file in files]))
        expected = model.classifier[:4](batch.flatten(1)).numpy()
    assert expected.min() < 0  # before the ReLU
    found = ours(weights, "improved-precision-recall", "fc2")(images).values
    assert_close(found, expected)
    other = ours(weights, "torch-fidelity", "fc2")(images).values
    assert np.abs(other - found).max() > 1e-3 * np.abs(found).max()
