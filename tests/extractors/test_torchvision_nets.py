"""`torchvision:NAME` against torchvision itself: its transforms, its graph cut at the same node."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

from bench.errors import BundleError, UnknownNameError, UsageError
from bench.extractors import extractor_row
from bench.extractors.base import ExtractorChoice, ExtractorRow
from bench.extractors.network import NetworkExtractor
from bench.extractors.torchvision_nets import build, default_weights, head_of, names, row_of
from bench.extractors.weights_files import HostedWeights

# The node that holds the penultimate features, and their number, by reading torchvision's source.
PENULTIMATE = {
    "resnet18": ("flatten", 512),
    "vit_b_32": ("getitem_5", 768),
    "mobilenet_v3_small": ("classifier.2", 1024),
    "inception_v3": ("flatten", 2048),
    "mnasnet0_5": ("classifier.0", 1280),
    "densenet121": ("flatten", 1024),
    "regnet_y_400mf": ("flatten", 440),
    "efficientnet_b0": ("classifier.0", 1280),
}


def random_network(name: str) -> nn.Module:
    """The network with random weights and the batch-norm statistics of a few images, so that its
    features vary with the image as those of a trained one.
    """
    torch.manual_seed(1)
    network = build(name).to_empty(device="cpu")
    network.requires_grad_(requires_grad=False)
    for module in network.modules():
        for key, value in module.named_parameters(recurse=False):
            matrix = value.ndim > 1
            std = (2 / value[0].numel()) ** 0.5 if matrix and len(value) > 1 else 0.1
            nn.init.normal_(value, mean=float(not matrix and key == "weight"), std=std)
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the plain mean over batches
    (side,) = default_weights(name).transforms().crop_size
    coarse = torch.randn(4, 3, 6, 6)
    network.train()(nn.functional.interpolate(coarse, (side, side)))
    return network.eval()


def save(network: nn.Module, path: Path) -> Path:
    torch.save(network.state_dict(), path)
    return path


def load(name: str, path: Path) -> NetworkExtractor:
    row = extractor_row(f"torchvision:{name}")
    choice = ExtractorChoice(weights=path, unverified_weights=True, batch_size=2)
    loaded = row.resolve(choice).load()
    assert isinstance(loaded, NetworkExtractor)
    return loaded


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    """Three pictures of 60x80 px with more than noise in them."""
    rng = np.random.default_rng(2)
    coarse = rng.integers(0, 256, (3, 6, 8, 3), dtype=np.uint8)
    fine = np.repeat(np.repeat(coarse, 10, axis=1), 10, axis=2).astype(np.int16)
    noisy = fine + rng.integers(-20, 20, fine.shape)
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", sorted(PENULTIMATE))
def test_features_are_torchvisions(name: str, images: NDArray[np.uint8], tmp_path: Path) -> None:
    network = random_network(name)
    found = load(name, save(network, tmp_path / "w.pth"))(images)
    transforms = default_weights(name).transforms()
    prepared = torch.stack([transforms(torch.from_numpy(i).permute(2, 0, 1)) for i in images])
    node, dim = PENULTIMATE[name]
    with torch.inference_mode():
        logits = network(prepared).numpy()
        cut = create_feature_extractor(network, [node], suppress_diff_warning=True)
        features = cut(prepared)[node].numpy()
    assert found.values.shape == features.shape == (3, dim)
    assert found.logits is not None
    assert np.ptp(found.values, axis=0).max() > 1e-2 * np.abs(found.values).max()
    for ours, theirs in ((found.values, features), (found.logits, logits)):
        scale = float(np.abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * scale)


def test_preprocessing_is_that_of_pictures(images: NDArray[np.uint8]) -> None:
    """torchvision resizes tensors as Pillow resizes pictures, to a grey level or so."""
    transforms = default_weights("resnet18").transforms()
    batch = transforms(torch.from_numpy(images).permute(0, 3, 1, 2))
    single = torch.stack([transforms(Image.fromarray(image)) for image in images])
    assert batch.shape == (3, 3, 224, 224)
    assert float((batch - single).abs().max()) < 2 / 255 / 0.224


def test_the_row_is_the_default_weights() -> None:
    row = extractor_row("torchvision:resnet50")
    assert row == row_of("torchvision:resnet50")
    assert row.weights == HostedWeights(
        "https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
        "resnet50-11ad3fa6.pth",
        "11ad3fa6",
    )
    assert (row.name, row.feature_dim, row.num_classes) == ("torchvision:resnet50", 2048, 1000)
    with pytest.raises(UsageError, match="has no choice of layer"):
        row.resolve(ExtractorChoice(layer="fc"))


def test_vit_h_14_is_built_for_the_size_of_its_weights() -> None:
    assert head_of("vit_h_14").feature_dim == 1280
    assert build("vit_h_14").state_dict()["encoder.pos_embedding"].shape[1] == (518 // 14) ** 2 + 1


FAMILIES = sorted(
    {"alexnet", "convnext_tiny", "googlenet", "maxvit_t", "resnext50_32x4d", "shufflenet_v2_x0_5"}
    | {"swin_t", "swin_v2_t", "vgg11_bn", "wide_resnet50_2", "efficientnet_v2_s", "regnet_x_400mf"}
)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_a_row(name: str) -> None:
    row = row_of(f"torchvision:{name}")
    assert isinstance(row, ExtractorRow)
    assert isinstance(row.weights, HostedWeights)
    assert row.weights.url.endswith(f"-{row.weights.sha256}.pth")
    assert row.num_classes == 1000
    last = [layer for layer in build(name).modules() if isinstance(layer, nn.Linear)][-1]
    assert row.feature_dim == last.in_features


def test_old_names_of_densenet_are_read(images: NDArray[np.uint8], tmp_path: Path) -> None:
    """The published files say `denselayer1.norm.1`; torchvision's own loader renames it."""
    network = random_network("densenet121")
    expected = load("densenet121", save(network, tmp_path / "new.pth"))(images[:1])
    state = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): value
        for name, value in network.state_dict().items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    torch.save(state, tmp_path / "old.pth")
    found = load("densenet121", tmp_path / "old.pth")(images[:1])
    np.testing.assert_array_equal(found.values, expected.values)


def test_unknown_names_list_the_valid_ones() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'resnet50'.*Valid: alexnet, "):
        extractor_row("torchvision:resnet_50")
    assert "resnet50" in names()
    assert len(names()) == len(torchvision.models.list_models(module=torchvision.models))


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_networks_without_a_linear_head_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"torchvision:{name} cannot be used: .*linear layer"):
        extractor_row(f"torchvision:{name}")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = save(random_network("mobilenet_v3_small"), tmp_path / "w.pth")
    with pytest.raises(BundleError, match="of 'torchvision:resnet18' do not fit.*conv1.weight"):
        load("resnet18", path)


def test_rows_do_not_depend_on_company(images: NDArray[np.uint8], tmp_path: Path) -> None:
    extractor = load("resnet18", save(random_network("resnet18"), tmp_path / "w.pth"))
    whole = extractor(images)
    single = extractor(images[1:2])
    grey = extractor(images[:, :, :, :1])
    replicated = extractor(np.repeat(images[:, :, :, :1], 3, axis=3))
    np.testing.assert_allclose(single.values[0], whole.values[1], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(grey.values, replicated.values, rtol=1e-5, atol=1e-5)
