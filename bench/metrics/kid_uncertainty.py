"""The variance of the kernel distance over draws of the generated images, the reals held fixed.

To first order an image x moves it by twice the mean of k(x, x') - k(x, y) over the other images x'
and the reals y; to second order pairs of images add the centred kernel, which is all there is near
zero (Gretton et al. 2012; Hoeffding's decomposition of a U-statistic). Means over subsets raise
both by factors that follow from who shares a subset with whom.

Kernel means of at most 1,000 images, over all other images and all reals, a tenth of the work of
the distance itself.

Shape legend: N images, D features, P images looked at.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.runtime.devices import strict_float32
from bench.statistics.intervals import Expansion

LOOKED_AT = 1000
ROW_BLOCK = 250


def expand_kernel(
    x_ND: NDArray[np.floating], y_ND: NDArray[np.floating], *, seed: int, device: str = "cpu"
) -> Expansion:
    """Variance of the influence values and mean square of the centred cubic kernel, of `x_ND`
    (at least 2 rows) against fixed `y_ND`. Float32 products about the common mean of scale 1.
    """
    largest = max(float(np.abs(x_ND).max()), float(np.abs(y_ND).max())) or 1.0
    gain = largest**2 / x_ND.shape[1]
    x, y = (
        torch.from_numpy((side / largest).astype(np.float32)).to(device) for side in (x_ND, y_ND)
    )
    order = np.random.default_rng(seed).permutation(len(x_ND))[:LOOKED_AT]
    chosen = x[torch.from_numpy(order).to(device)]
    n = len(x)
    with strict_float32():
        own_P = _kernel((chosen * chosen).sum(dim=1).double(), gain)
        within_P = (_row_sums(chosen, x, gain) - own_P) / (n - 1)
        influence_P = 2 * (within_P - _row_sums(chosen, y, gain) / len(y))
        block_PP = _kernel((chosen @ chosen.T).double(), gain)
    block_PP -= within_P[:, None]
    block_PP -= within_P
    block_PP += within_P.mean()
    block_PP.fill_diagonal_(0)
    p = len(chosen)
    square = float(block_PP.square().sum()) / (p * (p - 1))
    influence_P -= influence_P.mean()
    third = float((influence_P**3).mean())
    third += 4 * float(influence_P @ block_PP @ influence_P) / (p * (p - 1))
    return Expansion(float(influence_P.var()), square, third, n)


def _kernel(g: Tensor, gain: float) -> Tensor:
    """(gain g + 1)^3 - 1; the constant cancels."""
    t = g * gain
    return t * (t * (t + 3) + 3)


def _row_sums(rows_PD: Tensor, others_ND: Tensor, gain: float) -> Tensor:
    """Float64 P: sums of the kernel of each row over all others."""
    blocks = [
        _kernel(block @ others_ND.T, gain).sum(dim=1, dtype=torch.float64)
        for block in torch.split(rows_PD, ROW_BLOCK)
    ]
    return torch.cat(blocks)


def subset_factors(n_fake: int, n_real: int, size: int, subsets: int) -> tuple[float, float]:
    """By how much the mean over random subsets of `size` of each side raises the variance of the
    two orders against one U-statistic of all images.

    An image is in a subset with probability size / n, a pair of images with size (size - 1) /
    (n (n - 1)); and an image meets only those reals that share a subset with it, which adds
    4 (1 - size / n_real) / (subsets size^2) to the pairs' 2 / n^2.
    """
    linear = 1 + (n_fake / size - 1) / subsets
    pair = n_fake * (n_fake - 1) / (size * (size - 1))
    met = 2 * n_fake**2 / size**2 * (1 - size / n_real)
    return linear, (1 + (pair - 1) / subsets) * n_fake / (n_fake - 1) + met / subsets
