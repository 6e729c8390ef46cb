"""Wide residual networks (Zagoruyko & Komodakis 2016) of any depth, width and first stride.

Three stages of 16, 32 and 64 times `width` channels, pre-activated blocks of two 3x3 convolutions,
depth = 6 n + 4 for n blocks per stage. GeoTrans uses WRN-10-4 with first stride 1. With first
stride 2 (kernel 5) every map has a quarter of the pixels.

Shape legend: N images, C channels, H rows, W columns, T classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import UsageError

STEM_CHANNELS = 16
STAGES = (16, 32, 64)


class Block(nn.Module):
    """Batch norm, ReLU and convolution, twice, added to the identity or a 1x1 convolution."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(out_channels)
        self.conv_1 = nn.Conv2d(channels, out_channels, 3, stride, 1, bias=False)
        self.conv_2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        # A 1x1 convolution of every `stride`th pixel, not one with a stride: the gradient of its
        # weights overruns the heap for 4 channels (oneDNN 3.12, in PyTorch 2.14, without AVX-512).
        self.stride = stride
        same = channels == out_channels and stride == 1
        self.shortcut = None if same else nn.Conv2d(channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm_1(x))
        part = h[:, :, :: self.stride, :: self.stride]
        kept = x if self.shortcut is None else self.shortcut(part)
        out: Tensor = kept + self.conv_2(F.relu(self.norm_2(self.conv_1(h))))
        return out


class WideResNet(nn.Module):
    """`forward(x)`: N,C,H,W -> logits N,T. Raises `UsageError` unless the depth is 6 n + 4."""

    def __init__(
        self, channels: int, num_classes: int, *, depth: int, width: float, first_stride: int
    ) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 4, 6)
        if blocks < 1 or rest:
            raise UsageError(f"depth {depth}: a wide residual network has 10, 16, 22, ... layers")
        kernel = 3 if first_stride == 1 else 5
        stem = nn.Conv2d(
            channels, STEM_CHANNELS, kernel, first_stride, padding=kernel // 2, bias=False
        )
        layers: list[nn.Module] = [stem]
        before = STEM_CHANNELS
        for stage, base in enumerate(STAGES):
            after = max(1, round(base * width))
            for block in range(blocks):
                layers.append(Block(before, after, 2 if stage and not block else 1))
                before = after
        self.body = nn.Sequential(*layers, nn.BatchNorm2d(before), nn.ReLU())
        self.out = nn.Linear(before, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.out(torch.mean(self.body(x), dim=(2, 3)))
        return logits
