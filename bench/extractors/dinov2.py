"""The vision transformers of DINOv2 (Oquab et al. 2023, arXiv:2304.07193), in inference form.

torch-fidelity loads this network by `torch.hub.load("facebookresearch/dinov2")`, which clones a
repository and runs its current code; therefore it is written here, for the backbones without
registers. Module names are those of the published weights. Attention is PyTorch's fused form, which
differs from the reference's explicit softmax by rounding only.

Shape legend: N images, T tokens (class token first), D width, G patches a side.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PATCH_PX = 14
TRAINED_PATCHES = 37  # per side: positions were learnt at 518 px
LAYER_NORM_EPS = 1e-6
POSITION_OFFSET = 0.1  # the reference adds it to G before interpolating; it shifts the result


class Dinov2Shape(NamedTuple):
    """Width D, number of blocks, heads, and whether the MLP is gated (SwiGLU)."""

    width: int
    depth: int
    num_heads: int
    gated: bool = False


SHAPES = {
    "dinov2-vit-s-14": Dinov2Shape(384, 12, 6),
    "dinov2-vit-b-14": Dinov2Shape(768, 12, 12),
    "dinov2-vit-l-14": Dinov2Shape(1024, 24, 16),
    "dinov2-vit-g-14": Dinov2Shape(1536, 40, 24, gated=True),
}


class Attention(nn.Module):
    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x_NTD: Tensor) -> Tensor:
        qkv = self.qkv(x_NTD).unflatten(2, (3, self.num_heads, -1))  # N,T,3,heads,D/heads
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)  # N,heads,T,D/heads
        projected: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return projected


class LayerScale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return y


class GatedMlp(nn.Module):
    """SwiGLU: two thirds of the usual hidden width, rounded up to a multiple of 8."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = (int(4 * width * 2 / 3) + 7) // 8 * 8
        self.w12 = nn.Linear(width, 2 * hidden)
        self.w3 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.w12(x).chunk(2, dim=-1)
        y: Tensor = self.w3(F.silu(gate) * value)
        return y


class Block(nn.Module):
    def __init__(self, shape: Dinov2Shape) -> None:
        super().__init__()
        width = shape.width
        self.norm1 = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.attn = Attention(width, shape.num_heads)
        self.ls1 = LayerScale(width)
        self.norm2 = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.mlp = GatedMlp(width) if shape.gated else Mlp(width)
        self.ls2 = LayerScale(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        y: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return y


class PatchEmbed(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH_PX, stride=PATCH_PX)

    def forward(self, x: Tensor) -> Tensor:
        patches: Tensor = self.proj(x).flatten(2).transpose(1, 2)  # N,G*G,D
        return patches


class Dinov2(nn.Module):
    """`forward(x)`: normalised float32 N,3,14G,14G -> the normed class token, float32 N,D."""

    def __init__(self, shape: Dinov2Shape) -> None:
        super().__init__()
        width = shape.width
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, TRAINED_PATCHES**2 + 1, width))
        self.mask_token = nn.Parameter(
            torch.zeros(1, width)
        )  # for training only; every weights file has it
        self.patch_embed = PatchEmbed(width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        class_token = self.cls_token.expand(len(x), -1, -1)
        tokens = torch.cat([class_token, self.patch_embed(x)], dim=1)
        tokens = tokens + self.positions(x.shape[2] // PATCH_PX)
        for block in self.blocks:
            tokens = block(tokens)
        features: Tensor = self.norm(tokens[:, 0])
        return features

    def positions(self, patches: int) -> Tensor:
        """Return positions for G x G patches, float32 1,1+G*G,D, bicubic from the learnt ones."""
        if patches == TRAINED_PATCHES:
            return self.pos_embed
        grid = self.pos_embed[:, 1:].reshape(1, TRAINED_PATCHES, TRAINED_PATCHES, -1)
        scale = (patches + POSITION_OFFSET) / TRAINED_PATCHES
        resized = F.interpolate(
            grid.permute(0, 3, 1, 2), scale_factor=(scale, scale), mode="bicubic"
        )
        return torch.cat([self.pos_embed[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)
