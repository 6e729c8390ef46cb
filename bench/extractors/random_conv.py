"""`random-conv`: a convolutional network with fixed random weights; nothing to download.

Naeem et al. 2020 (arXiv:2002.09797, section 4.2) find that for images far from ImageNet, random
embeddings measure fidelity and diversity at least as well as trained ones. The network has five 3x3
convolutions with ReLU, each but the first after a 2x2 mean. The features are the spatial mean and
standard deviation of every channel at every depth. Shallow depths see noise, blur and contrast;
deep ones (the fifth sees 78 px) see shapes and thereby classes. Means and deviations over space
exist for any size from 8 to 2048 px; structures larger than 78 px are seen as texture.

He-uniform weights (He et al. 2015, variance 2 / fan-in) are computed from the raw 64-bit words of
PCG64, which NumPy keeps stable, by operations that IEEE 754 defines to the last bit. They are the
same on every machine and in every release, and checked by their SHA-256.

Shape legend: N images, C channels, H W pixels, D = 544 features.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from bench.errors import LatentbenchError
from bench.extractors.base import ResolvedExtractor
from bench.extractors.network import NetworkExtractor

SEED = 0
WIDTHS = (32, 48, 64, 64, 64)
BATCH_SIZE = 1024
BLOCK_PX = {"cpu": 2**18, "cuda": 2**23}  # pixels at a time: activations near the cache
GREY, CONTRAST = 127.5, 63.75  # scale pixels to -2..2, so that black and white both act


def generated_weights() -> list[NDArray[np.float32]]:
    """Return the kernels, float32 out,in,3,3, uniform within sqrt(6 / fan-in)."""
    words = np.random.PCG64(SEED)
    kernels = []
    channels = 3
    for width in WIDTHS:
        fan_in = channels * 9
        raw = np.asarray(words.random_raw(width * fan_in), np.uint64) >> np.uint64(40)
        unit = raw.astype(np.float64) * 2.0**-23 - 1  # 24 bits, within [-1, 1)
        kernel = (unit * np.sqrt(6 / fan_in)).astype(np.float32)
        kernels.append(kernel.reshape(width, channels, 3, 3))
        channels = width
    return kernels


def digest_of(kernels: list[NDArray[np.float32]]) -> str:
    """Return the SHA-256 of the kernels one after the other, little-endian, in hex."""
    return hashlib.sha256(b"".join(k.astype("<f4").tobytes() for k in kernels)).hexdigest()


def pooled(x: Tensor, kernels: list[Tensor]) -> Tensor:
    """Return the features of uint8 N,3,H,W, float32 N,D: for each depth means, then deviations."""
    x = ((x.float() - GREY) / CONTRAST).contiguous(memory_format=torch.channels_last)
    statistics = []
    for depth, kernel in enumerate(kernels):
        if depth:
            x = F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
        x = F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel))
        variance, mean = torch.var_mean(x, dim=(2, 3), correction=0)
        statistics += [mean, variance.sqrt()]
    return torch.cat(statistics, dim=1)


def load(resolved: ResolvedExtractor, device: str) -> NetworkExtractor:
    """Return the extractor of the row. Raises `LatentbenchError` when the weights differ."""
    generated = generated_weights()
    found = digest_of(generated)
    if found != resolved.digest:
        raise LatentbenchError(
            f"extractor {resolved.name!r} generates weights of SHA-256 {found} on this machine, "
            f"expected {resolved.digest}: its features would not be comparable. Please report this"
        )
    kernels = [torch.from_numpy(kernel).to(device) for kernel in generated]
    block_px = BLOCK_PX[torch.device(device).type]

    def forward(x: Tensor) -> tuple[Tensor, None]:
        blocks = torch.split(x, max(1, block_px // (x.shape[2] * x.shape[3])))
        return torch.cat([pooled(block, kernels) for block in blocks]), None

    return NetworkExtractor(
        name=resolved.name,
        digest=resolved.digest,
        device=device,
        forward=forward,
        batch_size=resolved.batch_size or BATCH_SIZE,
    )
