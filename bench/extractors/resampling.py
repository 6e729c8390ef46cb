"""Resizing as different FID implementations do it: the named protocols.

Most of the disagreement between libraries about "the FID" of one folder comes from here: the
kernel, the grid, and whether the image is low-pass filtered before it is made smaller. Each of
these resizes is separable and linear, so it is one matrix for the rows and one for the columns,
built in NumPy by the rule of its library; the same two products run on CPU and GPU. The matrices
are sparse but multiplied as dense ones: even for 2048 px, gathering the few pixels with a weight
took 2 to 20 times as long.

torch-fidelity  bilinear on the corner-aligned grid of TensorFlow 1 (source = target x in/out), no
                low-pass; (v - 128) / 128. torch-fidelity 0.4 and the original TensorFlow FID.
clean-fid       bicubic (a = -0.5) with low-pass, half-pixel grid, clipped to 0..255;
                (v - 128) / 128. clean-fid 0.1.35, mode "clean" (Parmar et al. 2022,
                arXiv:2104.11222).
pytorch-fid     bilinear, half-pixel grid, no low-pass; (v - 127.5) / 127.5. pytorch-fid 0.3.0.
torchmetrics    bilinear with low-pass, half-pixel grid; (v - 128) / 128. torchmetrics from 1.8 on.

Tests compare with the code of those packages: pixels agree to 1e-4 of 255.

Shape legend: N images, C channels, H W pixels, S side of the square output.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Matrix = NDArray[np.floating]  # S,n: each output pixel as weights of the n input pixels


def tensorflow1_bilinear(n: int, size: int) -> Matrix:
    """Return the weights for source = target x n/size, without half-pixel centres, rounded to
    float32 as in TensorFlow 1 and torch-fidelity.
    """
    source = np.arange(size, dtype=np.float32) * np.float32(n / size)
    return _lerp(source, n)


def half_pixel_bilinear(n: int, size: int) -> Matrix:
    """Return the weights for source = (target + 1/2) x n/size - 1/2, clamped at 0, with two taps
    at any scale (`torch.nn.functional.interpolate`, align_corners=False).
    """
    target = np.arange(size, dtype=np.float32) + np.float32(0.5)
    source = np.maximum(target * np.float32(n / size) - np.float32(0.5), 0)
    return _lerp(source, n)


def _lerp(source: NDArray[np.float32], n: int) -> Matrix:
    low = np.minimum(source.astype(np.int64), n - 1)
    high = np.minimum(low + 1, n - 1)
    share = (source - low.astype(np.float32)).astype(np.float64)
    matrix = np.zeros((len(source), n))
    rows = np.arange(len(source))
    np.add.at(matrix, (rows, low), 1 - share)
    np.add.at(matrix, (rows, high), share)
    return matrix


def antialiased(n: int, size: int, kernel: Callable[[Matrix], Matrix], support: float) -> Matrix:
    """Return the weights on the half-pixel grid, with the kernel widened by n/size when the image
    gets smaller and weights normalised at the borders (Pillow's resize, and torch's with
    antialias=True).
    """
    scale = n / size
    widening = max(scale, 1.0)
    radius = support * widening
    matrix = np.zeros((size, n))
    for row in range(size):
        centre = (row + 0.5) * scale
        first = max(int(centre - radius + 0.5), 0)
        last = min(int(centre + radius + 0.5), n)
        weights = kernel((np.arange(first, last) + 0.5 - centre) / widening)
        matrix[row, first:last] = weights / weights.sum()
    return matrix


def triangle(x: Matrix) -> Matrix:
    """Return the kernel of linear interpolation; support 1."""
    return np.asarray(np.maximum(1 - np.abs(x), 0))


def keys_cubic(x: Matrix) -> Matrix:
    """Return Keys' cubic kernel with a = -0.5 (Catmull-Rom); support 2."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.asarray(np.where(x < 1, near, np.where(x < 2, far, 0)))


class Protocol(NamedTuple):
    """The rule by which pixels 0..255 of any size become the input of the network."""

    matrix: Callable[[int, int], Matrix]
    centre: float  # v -> (v - centre) / centre
    clips: bool  # to 0..255 after resizing, since the cubic kernel overshoots


PROTOCOLS = {
    "torch-fidelity": Protocol(tensorflow1_bilinear, 128, clips=False),
    "clean-fid": Protocol(lambda n, size: antialiased(n, size, keys_cubic, 2.0), 128, clips=True),
    "pytorch-fid": Protocol(half_pixel_bilinear, 127.5, clips=False),
    "torchmetrics": Protocol(lambda n, size: antialiased(n, size, triangle, 1.0), 128, clips=False),
}


@functools.lru_cache(maxsize=32)
def _matrix(protocol: str, n: int, size: int) -> Matrix:
    return PROTOCOLS[protocol].matrix(n, size)


@functools.lru_cache(maxsize=32)
def _dense(protocol: str, n: int, size: int, device: str) -> Tensor:
    return torch.from_numpy(_matrix(protocol, n, size)).to(device, torch.float32)


def _along(x: Tensor, dim: int, protocol: str, size: int) -> Tensor:
    """Resize one dimension (2 rows, 3 columns) of float32 N,C,H,W."""
    n, device = x.shape[dim], str(x.device)
    if n == size and np.array_equal(_matrix(protocol, n, size), np.eye(size)):
        return x
    matrix = _dense(protocol, n, size, device)
    return matrix @ x if dim == 2 else x @ matrix.T


def resample(x: Tensor, protocol: str, size: int) -> Tensor:
    """Return float32 N,C,size,size in 0..255 from uint8 N,C,H,W, by the rule of `protocol`.

    A grey image that was expanded to three channels is resized once.
    """
    channels = x.shape[1]
    if x.stride(1) == 0:
        x = x[:, :1]
    x = x.to(torch.float32, memory_format=torch.contiguous_format)
    x = _along(_along(x, 3, protocol, size), 2, protocol, size)
    if PROTOCOLS[protocol].clips:
        x = x.clamp(0, 255)
    return x.expand(-1, channels, -1, -1)


def network_input(x: Tensor, protocol: str, size: int) -> Tensor:
    """Return `resample` scaled to about -1..1, float32 N,C,size,size in channels-last layout."""
    centre = PROTOCOLS[protocol].centre
    resized = resample(x, protocol, size)
    out = torch.empty(
        resized.shape, dtype=torch.float32, device=x.device, memory_format=torch.channels_last
    )
    torch.sub(resized, centre, out=out)
    return out.div_(centre)
