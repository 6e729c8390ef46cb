"""The small class-conditional DCGAN whose samples `latentbench demo` scores.

Radford et al. 2016 in miniature: a linear layer to 64 x 7 x 7, two 4x4 stride-2 transposed
convolutions (kernel divisible by stride: no checkerboard), tanh. The class enters as a one-hot
part of the latent vector. Weights come from `python -m baselines.train_demo_generator`, an
exponential average over training with batch norms folded away.

Shape legend: N images, Z latent, C channels, H W pixels.
"""

from __future__ import annotations

import hashlib
from importlib import resources

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import BundleError

NOISE_DIM = 54
NUM_CLASSES = 10
WIDTH = 64
BASE_PX = 7
BATCH_SIZE = 500
WEIGHTS = "demo-generator.safetensors"
WEIGHTS_SHA256 = "858352abd447129d6adef7735d1cfb4118c0a8daea6c91d3016a744b719c79d5"


class DemoGenerator(nn.Module):
    """`forward(z)`: float32 N,64 (noise, then one-hot class) -> N,1,28,28 in (-1, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(NOISE_DIM + NUM_CLASSES, WIDTH * BASE_PX * BASE_PX)
        self.up = nn.ConvTranspose2d(WIDTH, WIDTH // 2, 4, stride=2, padding=1)
        self.out = nn.ConvTranspose2d(WIDTH // 2, 1, 4, stride=2, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = F.relu(self.stem(z)).view(-1, WIDTH, BASE_PX, BASE_PX)
        x = F.relu(self.up(x))
        return torch.tanh(self.out(x))


def latent(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise and one-hot classes for `labels` (int64 N): float32 N,64."""
    noise = torch.randn(len(labels), NOISE_DIM, generator=generator)
    return torch.cat([noise, F.one_hot(labels, NUM_CLASSES).float()], dim=1)


def to_uint8(x: Tensor) -> NDArray[np.uint8]:
    """N,1,H,W in [-1, 1] -> uint8 N,H,W,1, rounded to nearest."""
    pixels = ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.asarray(pixels.permute(0, 2, 3, 1).contiguous().numpy())


def load_generator() -> DemoGenerator:
    """The bundled generator. Raises `BundleError` when its weights are damaged."""
    data = (resources.files("baselines") / "weights" / WEIGHTS).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != WEIGHTS_SHA256:
        raise BundleError(
            f"weights {WEIGHTS} are damaged: SHA-256 {found}, expected {WEIGHTS_SHA256}. "
            "Install latentbench again."
        )
    model = DemoGenerator()
    model.load_state_dict(load_safetensors(data))
    return model.eval()


@torch.inference_mode()
def generate_digits(num_images: int, seed: int) -> NDArray[np.uint8]:
    """Digits of all classes in turn: uint8 N,28,28,1. The same seed gives the same images."""
    model = load_generator()
    generator = torch.Generator().manual_seed(seed)
    z = latent(torch.arange(num_images) % NUM_CLASSES, generator)
    return np.concatenate([to_uint8(model(part)) for part in torch.split(z, BATCH_SIZE)])
