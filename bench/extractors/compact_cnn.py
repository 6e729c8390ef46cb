"""The compact CNN behind the embedded extractors `digits` and `fashion`, in inference form.

Six 3x3 convolutions (1-32 at 28 px, 32-48 and a residual pair at 14 px, the same at 7 px), no
normalisation layers: the batch norms of training are folded into the weights. The penultimate
features are the spatial means at three depths, concatenated, 32 + 48 + 48 = 128 values, so that a
Fréchet distance sees stroke texture (noise, blur) as well as shape and class. Each feature is
standardised to mean 0 and variance 1 over the data set's train split, which makes every distance
a multiple of the data's own spread. The class logits are linear in these features.

Trained by `python -m baselines.tools.train_extractor` on the train split only.

Shape legend: N images, C channels, H W pixels, D features, K classes.
"""

from __future__ import annotations

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import BundleError
from bench.extractors.base import PackagedWeights, ResolvedExtractor
from bench.extractors.network import NetworkExtractor

STEM_WIDTH = 32
TRUNK_WIDTH = 48
FEATURE_DIM = STEM_WIDTH + 2 * TRUNK_WIDTH
NUM_CLASSES = 10
BATCH_SIZE = 250  # measured on two cores: 64 to 250 take the same time, 500 takes 1.7 times as long


class CompactCNN(nn.Module):
    """`forward(x)`: float32 N,1,28,28 in [0, 1] -> (features N,128, logits N,10), both float32."""

    pixel_mean: Tensor
    pixel_std: Tensor
    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self) -> None:
        super().__init__()

        def conv(in_channels: int, out_channels: int) -> nn.Conv2d:
            return nn.Conv2d(in_channels, out_channels, 3, padding=1)

        self.stem = conv(1, STEM_WIDTH)
        self.mid_in, self.mid_a, self.mid_b = (
            conv(STEM_WIDTH, TRUNK_WIDTH),
            conv(TRUNK_WIDTH, TRUNK_WIDTH),
            conv(TRUNK_WIDTH, TRUNK_WIDTH),
        )
        self.top_in, self.top_a, self.top_b = (conv(TRUNK_WIDTH, TRUNK_WIDTH) for _ in range(3))
        self.head = nn.Linear(FEATURE_DIM, NUM_CLASSES)
        self.register_buffer("pixel_mean", torch.zeros(()))
        self.register_buffer("pixel_std", torch.ones(()))
        self.register_buffer("feature_mean", torch.zeros(FEATURE_DIM))
        self.register_buffer("feature_std", torch.ones(FEATURE_DIM))

    def pooled(self, x: Tensor) -> Tensor:
        """Return the spatial means at the three depths before standardisation, N,128."""
        stem = F.relu(self.stem((x - self.pixel_mean) / self.pixel_std))  # N,32,28,28
        mid = F.relu(self.mid_in(F.max_pool2d(stem, 2)))  # N,48,14,14
        mid = F.relu(mid + self.mid_b(F.relu(self.mid_a(mid))))
        top = F.relu(self.top_in(F.max_pool2d(mid, 2)))  # N,48,7,7
        top = F.relu(top + self.top_b(F.relu(self.top_a(top))))
        return torch.cat([level.mean(dim=(2, 3)) for level in (stem, mid, top)], dim=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = (self.pooled(x) - self.feature_mean) / self.feature_std
        return features, self.head(features)


def load_model(weights: PackagedWeights, name: str) -> CompactCNN:
    """Return the network of one row. Raises `BundleError` when the weights do not fit it."""
    model = CompactCNN()
    try:
        model.load_state_dict(load_safetensors(weights.read(name)))
    except RuntimeError as error:
        raise BundleError(f"weights {weights.file} do not fit the network: {error}") from error
    return model.eval()


def load(resolved: ResolvedExtractor, device: str) -> NetworkExtractor:
    """Return the extractor of one row. Raises `BundleError` when the weights do not fit it."""
    weights = resolved.row.weights
    assert isinstance(weights, PackagedWeights)  # noqa: S101  (as in the table)
    model = load_model(weights, resolved.name)
    model = model.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        outputs: tuple[Tensor, Tensor] = model(
            (x.float() / 255).contiguous(memory_format=torch.channels_last)
        )
        return outputs

    return NetworkExtractor(
        name=resolved.name,
        digest=resolved.digest,
        device=device,
        forward=forward,
        batch_size=resolved.batch_size or BATCH_SIZE,
        channels=1,
        side_px=resolved.row.side_px,
    )
