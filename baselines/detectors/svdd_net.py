"""The networks of Deep SVDD for small images (Ruff et al. 2018, facts of the authors' code).

Encoder: convolution C-8 (5x5, padding 2), batch norm without gain and shift (eps 1e-4), leaky ReLU
0.01, max-pooling by 2; convolution 8-4 with the same layers; linear to `rep_dim`. There is no bias,
because a bias could map every image onto the centre (proposition 2). Decoder for pre-training: the
code as maps of 4x4, then three transposed convolutions 5x5 with nearest upsampling between them,
then a sigmoid. For 28 px this is the authors' LeNet pair; other sizes differ in the linear layer
and the sizes of upsampling.

Shape legend: N images, C channels, H rows, W columns, Z code.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.models.base import ImageShape
from bench.errors import UsageError

NORM_EPS = 1e-4
BASE_PX = 4
MIN_SIDE_PX = 4


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=NORM_EPS, affine=False)


class Encoder(nn.Module):
    """`forward(x)`: N,C,H,W -> N,Z. Raises `UsageError` for sides below 4 px."""

    def __init__(self, image_shape: ImageShape, rep_dim: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        if min(height, width) < MIN_SIDE_PX:
            raise UsageError(
                f"images of {width}x{height} px: Deep SVDD needs sides of {MIN_SIDE_PX} px or more"
            )
        self.conv_1 = nn.Conv2d(channels, 8, 5, padding=2, bias=False)
        self.norm_1 = _norm(8)
        self.conv_2 = nn.Conv2d(8, 4, 5, padding=2, bias=False)
        self.norm_2 = _norm(4)
        self.linear = nn.Linear(4 * (height // 2 // 2) * (width // 2 // 2), rep_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = F.max_pool2d(F.leaky_relu(self.norm_1(self.conv_1(x))), 2)
        h = F.max_pool2d(F.leaky_relu(self.norm_2(self.conv_2(h))), 2)
        code: Tensor = self.linear(h.flatten(1))
        return code


class Pretraining(nn.Module):
    """The encoder with a decoder. `forward(x)`: N,C,H,W -> its reconstruction in [0, 1]."""

    def __init__(self, image_shape: ImageShape, rep_dim: int) -> None:
        super().__init__()
        maps, rest = divmod(rep_dim, BASE_PX**2)
        if rest:
            raise UsageError(
                f"rep_dim {rep_dim}: pre-training lays the code out as 4x4 maps, so it must be a "
                "multiple of 16 (or pretrain_epochs 0)"
            )
        channels, height, width = image_shape
        self.encoder = Encoder(image_shape, rep_dim)
        self.half_px, self.full_px = (height // 2, width // 2), (height, width)
        self.up_1 = nn.ConvTranspose2d(maps, 4, 5, padding=2, bias=False)
        self.up_2 = nn.ConvTranspose2d(4, 8, 5, padding=3, bias=False)  # takes 2 px off
        self.up_3 = nn.ConvTranspose2d(8, channels, 5, padding=2, bias=False)
        self.norm_1, self.norm_2 = _norm(4), _norm(8)
        for layer in (self.up_1, self.up_2, self.up_3):
            nn.init.xavier_uniform_(layer.weight, gain=nn.init.calculate_gain("leaky_relu"))

    def forward(self, x: Tensor) -> Tensor:
        h = self.encoder(x).view(x.shape[0], -1, BASE_PX, BASE_PX)
        h = self.up_1(F.interpolate(F.leaky_relu(h), scale_factor=2))
        size = (self.half_px[0] + 2, self.half_px[1] + 2)
        h = self.up_2(F.interpolate(F.leaky_relu(self.norm_1(h)), size=size))
        h = self.up_3(F.interpolate(F.leaky_relu(self.norm_2(h)), size=self.full_px))
        return torch.sigmoid(h)


def encoder_state(network: nn.Module) -> dict[str, Tensor]:
    """Return weights and statistics of the encoder inside a trained `Pretraining`."""
    return cast("Pretraining", network).encoder.state_dict()
