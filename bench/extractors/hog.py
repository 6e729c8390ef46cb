"""`hog`: histograms of oriented gradients, a hand-crafted feature without weights or labels.

Dalal & Triggs 2005 ("Histograms of oriented gradients for human detection", section 6), their
best settings: gradients by [-1, 0, 1] without smoothing (0 at the border), of the channel with the
largest; 9 orientations over 0 to 180 degrees, votes by magnitude, interpolated linearly between
orientations and bilinearly between cells; blocks of 2x2 cells, one cell apart, normalised by L2,
clipped at 0.2, normalised again (L2-Hys).

Two things differ. A cell is 8 px of a 64x128 window in the paper; here it is a seventh of the
shorter side (4 px at 28, at least 2), so that 28x28 and 280x280 px have the same 1,296 features,
and an incomplete cell at the right or the bottom is omitted. The Gaussian window over a block,
worth 1 % in the paper, is omitted.

Computed in float32; within 1e-5 of a direct float64 sum over pixels (tests).

Shape legend: N images, H W pixels, O = 9 orientations, Y X cells, D = 36 (Y - 1) (X - 1).
"""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.extractors.base import ResolvedExtractor
from bench.extractors.network import NetworkExtractor

ORIENTATIONS = 9
CELLS = 7  # along the shorter side
MIN_CELL_PX = 2
BLOCK = 2  # cells along a side of a block
CLIP = 0.2
EPSILON = 0.01  # of a block's norm, in units of grey levels / 255: keeps flat blocks flat
BATCH_SIZE = 512
BLOCK_PX = {"cpu": 2**18, "cuda": 2**23}  # pixels at a time: histograms near the cache
DEFINITION = (
    "latentbench hog 1: [-1, 0, 1] on value/255, largest channel, 9 unsigned orientations, "
    "trilinear votes, cells of a seventh of the shorter side, 2x2 blocks, L2-Hys 0.2, epsilon 0.01"
)
DIGEST = hashlib.sha256(DEFINITION.encode()).hexdigest()


def cell_px(height: int, width: int) -> int:
    """Return the side of a cell in px for images of this size."""
    return max(MIN_CELL_PX, min(height, width) // CELLS)


def gradients(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the horizontal and vertical slope N,H,W of uint8 N,C,H,W, in grey levels / 255.

    At each pixel it is that of the channel with the largest slope, the first of equal ones; squares
    of whole numbers are exact.
    """
    x = x.float()
    across, down = torch.zeros_like(x), torch.zeros_like(x)
    across[..., 1:-1] = x[..., 2:] - x[..., :-2]
    down[..., 1:-1, :] = x[..., 2:, :] - x[..., :-2, :]
    if x.shape[1] == 1:
        return across[:, 0] / 255, down[:, 0] / 255
    steepness = across.square() + down.square()
    found_across, found_down, most = across[:, 0], down[:, 0], steepness[:, 0]
    for channel in range(1, x.shape[1]):  # several times as fast as argmax and gather
        steeper = steepness[:, channel] > most
        found_across = torch.where(steeper, across[:, channel], found_across)
        found_down = torch.where(steeper, down[:, channel], found_down)
        most = torch.where(steeper, steepness[:, channel], most)
    return found_across / 255, found_down / 255


def votes(across: Tensor, down: Tensor) -> Tensor:
    """Return the magnitudes N,O,H,W, each shared between the two nearest orientations."""
    magnitude = torch.hypot(across, down)
    angle = torch.atan2(down, across).remainder(math.pi)  # of a line, not of an arrow
    place = angle * (ORIENTATIONS / math.pi) - 0.5  # bin centres are whole numbers
    below = place.floor()
    upper_share = place - below
    lower = below.long().remainder(ORIENTATIONS).unsqueeze(1)
    found = magnitude.new_zeros(len(across), ORIENTATIONS, *across.shape[1:])
    found.scatter_(1, lower, (magnitude * (1 - upper_share)).unsqueeze(1))
    upper = (lower + 1).remainder(ORIENTATIONS)
    return found.scatter_(1, upper, (magnitude * upper_share).unsqueeze(1))


def cell_histograms(votes_NOHW: Tensor, cell: int) -> Tensor:
    """Return N,O,Y,X: the votes of each pixel, shared bilinearly between the four nearest cells."""
    size = 2 * cell - cell % 2
    offsets = torch.arange(size, device=votes_NOHW.device) - (size - 1) / 2
    slope = 1 - offsets.abs() / cell
    kernel = (slope[:, None] * slope).expand(ORIENTATIONS, 1, -1, -1)
    return F.conv2d(votes_NOHW, kernel, stride=cell, padding=cell // 2, groups=ORIENTATIONS)


def blocks(histograms: Tensor) -> Tensor:
    """Return N,D: the blocks row by row, each normalised by L2-Hys."""
    found = histograms.unfold(2, BLOCK, 1).unfold(3, BLOCK, 1)  # N,O,Y-1,X-1,2,2
    found = found.permute(0, 2, 3, 1, 4, 5).flatten(3)
    return _normalised(_normalised(found).clamp(max=CLIP)).flatten(1)


def _normalised(vectors: Tensor) -> Tensor:
    return vectors / (vectors.square().sum(dim=3, keepdim=True) + EPSILON**2).sqrt()


def hog(x: Tensor) -> Tensor:
    """Return the features of uint8 N,C,H,W, float32 N,D."""
    return blocks(cell_histograms(votes(*gradients(x)), cell_px(x.shape[2], x.shape[3])))


def load(resolved: ResolvedExtractor, device: str) -> NetworkExtractor:
    """Return the extractor of the row."""
    block_px = BLOCK_PX[torch.device(device).type]

    def forward(x: Tensor) -> tuple[Tensor, None]:
        parts = torch.split(x, max(1, block_px // (x.shape[2] * x.shape[3])))
        return torch.cat([hog(part) for part in parts]), None

    return NetworkExtractor(
        name=resolved.name,
        digest=resolved.digest,
        device=device,
        forward=forward,
        batch_size=resolved.batch_size or BATCH_SIZE,
    )
