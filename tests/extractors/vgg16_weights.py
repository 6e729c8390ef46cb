"""A VGG16 of a sixteenth of the width, so that a test does not hold 138 million numbers."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import vgg

NAME = "vgg16-397923af.pth"
WIDTHS: list[int | str] = [4, 4, "M", 8, 8, "M", 16, 16, 16, "M", 32, 32, 32, "M", 32, 32, 32, "M"]
FEATURES = 64  # of each hidden layer


def narrow_vgg16(**_: object) -> vgg.VGG:
    """Return torchvision's VGG16 with all of its layers, and few channels."""
    with torch.device("meta"):
        model = vgg.VGG(nn.Identity(), init_weights=False)
    model.features = vgg.make_layers(WIDTHS)  # type: ignore[arg-type]
    sizes = [32 * 7 * 7, FEATURES, FEATURES, 1000]
    for layer, (width, out) in zip((0, 3, 6), itertools.pairwise(sizes), strict=True):
        model.classifier[layer] = nn.Linear(width, out)
    return model


def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make torchvision's VGG16 narrow, for our code and for torch-fidelity's."""
    monkeypatch.setattr(torchvision.models, "vgg16", narrow_vgg16)


def save_weights(folder: Path) -> Path:
    """Save random weights under the published name; return the file."""
    path = folder / NAME
    torch.save(random_state(narrow_vgg16().state_dict()), path)
    return path


def random_state(shapes: dict[str, Tensor]) -> dict[str, Tensor]:
    """He-scaled weights and small biases for tensors of these shapes."""
    generator = torch.Generator().manual_seed(1)
    return {
        name: torch.randn(value.shape, generator=generator)
        * (math.sqrt(2 / value[0].numel()) if value.ndim > 1 and value.shape[0] > 1 else 0.1)
        for name, value in shapes.items()
    }
