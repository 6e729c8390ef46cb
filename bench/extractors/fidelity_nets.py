"""torch-fidelity's CLIP, DINOv2 and VGG16: its own forward, with verified weights.

The constructors of torch-fidelity download or unpickle weights themselves (CLIP runs a TorchScript
archive, DINOv2 a cloned repository, VGG16 a full unpickle), so they are not called. The object is
made without them and given a network of the published shape with verified tensors. Resizing,
normalisation and layers are those of its `forward`, so features are equal, to 1e-5 relative in the
tests.

Shape legend: N images, C channels, H W pixels, D features.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torch_fidelity.feature_extractor_base import FeatureExtractorBase  # type: ignore[import-untyped]
from torch_fidelity.feature_extractor_clip import CLIPVisual, FeatureExtractorCLIP, convert_weights  # type: ignore[import-untyped]
from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2  # type: ignore[import-untyped]
from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16  # type: ignore[import-untyped]

from bench.errors import BundleError
from bench.extractors.base import ResolvedExtractor
from bench.extractors.dinov2 import SHAPES as DINOV2_SHAPES
from bench.extractors.dinov2 import Dinov2
from bench.extractors.network import NetworkExtractor
from bench.extractors.weights_files import load_state
from bench.extractors.weights_reading import load_strictly

BATCH_SIZE = {"cpu": 16, "cuda": 128}


class ClipShape(NamedTuple):
    """Embedding D, input side in px, blocks (per stage of a ResNet), width, patch side in px."""

    embed_dim: int
    side_px: int
    layers: int | tuple[int, int, int, int]
    width: int
    patch_px: int | None = None


# Radford et al. 2021, tables 19 and 20; torch-fidelity derives the same from the weights.
CLIP_SHAPES = {
    "clip-rn50": ClipShape(1024, 224, (3, 4, 6, 3), 64),
    "clip-rn101": ClipShape(512, 224, (3, 4, 23, 3), 64),
    "clip-rn50x4": ClipShape(640, 288, (4, 6, 10, 6), 80),
    "clip-rn50x16": ClipShape(768, 384, (6, 8, 18, 8), 96),
    "clip-rn50x64": ClipShape(1024, 448, (3, 15, 36, 10), 128),
    "clip-vit-b-32": ClipShape(512, 224, 12, 768, 32),
    "clip-vit-b-16": ClipShape(512, 224, 12, 768, 16),
    "clip-vit-l-14": ClipShape(768, 224, 24, 1024, 14),
    "clip-vit-l-14-336px": ClipShape(768, 336, 24, 1024, 14),
}


def load_clip(resolved: ResolvedExtractor, device: str) -> NetworkExtractor:
    """Load the image tower of CLIP. Raises `BundleError` for weights of another network."""
    state = _state(resolved)
    image_tower = {name: value for name, value in state.items() if name.startswith("visual.")}
    if not image_tower:
        raise BundleError(
            f"weights {resolved.weights_path} hold no tensor 'visual.*'; they are not those of "
            f"{resolved.name!r}"
        )
    with torch.device("meta"):
        model = CLIPVisual(*CLIP_SHAPES[resolved.name])
    convert_weights(model)  # published as float16; torch-fidelity rounds a float32 file to it too
    load_strictly(model, image_tower, f"weights {resolved.weights_path} of {resolved.name!r}")
    extractor = _bare(FeatureExtractorCLIP, resolved.name, "clip", model.float())
    extractor.resolution = CLIP_SHAPES[resolved.name].side_px
    return _runner(resolved, extractor, device)


def load_dinov2(resolved: ResolvedExtractor, device: str) -> NetworkExtractor:
    """Load DINOv2; features are its class token. Raises `BundleError` as `load_clip` does."""
    with torch.device("meta"):
        model = Dinov2(DINOV2_SHAPES[resolved.name])
    load_strictly(model, _state(resolved), f"weights {resolved.weights_path} of {resolved.name!r}")
    extractor = _bare(FeatureExtractorDinoV2, resolved.name, "dinov2", model)
    return _runner(resolved, extractor, device)


def load_vgg16(resolved: ResolvedExtractor, device: str) -> NetworkExtractor:
    """Load VGG16 up to its second hidden layer. Raises `BundleError` as `load_clip` does.

    The protocol improved-precision-recall resizes with Pillow, bilinear with a low-pass and rounded
    to grey levels, as youngjung/improved-precision-and-recall-metric-pytorch does.
    """
    with torch.device("meta"):
        model = torchvision.models.vgg16()
    load_strictly(model, _state(resolved), f"weights {resolved.weights_path} of {resolved.name!r}")
    del model.classifier[4:]  # the layers after fc2, as in torch-fidelity
    extractor = _bare(FeatureExtractorVGG16, resolved.name, resolved.settings["layer"], model)
    if resolved.settings["protocol"] == "torch-fidelity":
        return _runner(resolved, extractor, device)
    side_px = int(extractor.INPUT_IMAGE_SIZE)
    return _runner(resolved, extractor, device, before=functools.partial(_by_pillow, side=side_px))


def _by_pillow(x: Tensor, side: int) -> Tensor:
    """Resize uint8 N,3,H,W to side,side; torch-fidelity leaves images of its own size as they are.

    Grey images that were expanded to three channels are resized once.
    """
    grey = x.stride(1) == 0
    images = x[:, 0].cpu().numpy() if grey else x.permute(0, 2, 3, 1).cpu().numpy()
    resized = [
        np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))
        for image in images
    ]
    found = torch.from_numpy(np.stack(resized)).to(x.device)
    return found[:, None].expand(-1, 3, -1, -1) if grey else found.permute(0, 3, 1, 2)


def _state(resolved: ResolvedExtractor) -> dict[str, Tensor]:
    assert resolved.weights_path is not None  # noqa: S101  (as in the table)
    return load_state(resolved.weights_path)


def _bare(kind: type[nn.Module], name: str, layer: str, model: nn.Module) -> Any:
    """Return torch-fidelity's extractor with `model`, without calling its constructor."""
    extractor: Any = kind.__new__(kind)
    FeatureExtractorBase.__init__(extractor, name, [layer])
    extractor.feature_extractor_internal_dtype = torch.float32
    extractor.model = model
    return extractor.eval().requires_grad_(requires_grad=False)


def _runner(
    resolved: ResolvedExtractor,
    extractor: Any,
    device: str,
    before: Callable[[Tensor], Tensor] | None = None,
) -> NetworkExtractor:
    extractor = extractor.to(device)

    def forward(x: Tensor) -> tuple[Tensor, None]:
        (features,) = extractor(x if before is None else before(x))
        return features, None

    return NetworkExtractor(
        name=resolved.name,
        digest=resolved.digest,
        device=device,
        forward=forward,
        batch_size=resolved.batch_size or BATCH_SIZE[torch.device(device).type],
    )
