"""Random weights of InceptionV3 in torch-fidelity's form, and real photographs to try them on.

The published weights cannot be had on a machine without network access. Agreement between two
programs does not need them: these are He-scaled, with batch norms that are far from identity, and
with logits spread enough that an Inception Score is not 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_sample_images
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3


def empty_network(monkeypatch: Any, layers: list[str]) -> FeatureExtractorInceptionV3:
    """torch-fidelity's network without weights, which it would fetch by itself."""
    module = "torch_fidelity.feature_extractor_inceptionv3"
    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_, **__: None)
        return FeatureExtractorInceptionV3("inception-v3-compat", layers)


def random_state(monkeypatch: Any, seed: int = 0) -> dict[str, torch.Tensor]:
    """A state dict with every tensor of the network."""
    generator = torch.Generator().manual_seed(seed)
    state = empty_network(monkeypatch, ["2048"]).state_dict()

    def uniform(shape: torch.Size, low: float, high: float) -> torch.Tensor:
        return torch.rand(shape, generator=generator) * (high - low) + low

    for name, value in state.items():
        if name.endswith("conv.weight"):
            scale = (2 / value[0].numel()) ** 0.5
            value.copy_(torch.randn(value.shape, generator=generator) * scale)
        elif name.endswith("bn.weight"):
            value.copy_(uniform(value.shape, 0.75, 1.25))
        elif name.endswith(("bn.bias", "running_mean")):
            value.copy_(torch.randn(value.shape, generator=generator) * 0.1)
        elif name.endswith("running_var"):
            value.copy_(uniform(value.shape, 0.5, 1.5))
        elif name == "fc.weight":
            value.copy_(torch.randn(value.shape, generator=generator) * 0.3)
        elif name == "fc.bias":
            value.copy_(torch.randn(value.shape, generator=generator) * 0.1)
    return state


def save_random_weights(path: Path, monkeypatch: Any, seed: int = 0) -> Path:
    torch.save(random_state(monkeypatch, seed), path)
    return path


def photo_crops(num: int, height_px: int, width_px: int, seed: int = 0) -> NDArray[np.uint8]:
    """Random crops of two photographs of 427x640 px: uint8 N,H,W,3."""
    photos = [np.asarray(photo) for photo in load_sample_images().images]
    if height_px > photos[0].shape[0]:  # a portrait format: turn them
        photos = [photo.transpose(1, 0, 2) for photo in photos]
    rng = np.random.default_rng(seed)
    crops = []
    for number in range(num):
        photo = photos[number % 2]
        top = rng.integers(photo.shape[0] - height_px + 1)
        left = rng.integers(photo.shape[1] - width_px + 1)
        crops.append(photo[top : top + height_px, left : left + width_px])
    return np.stack(crops)
