"""Layers in front of the discriminator's logit that compare the images of a batch.

Each is a `Head`: it appends statistics of the whole batch to an image's features.

Shape legend: N images, F features, B kernels, C kernel dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

EPSILON = 1e-8  # as in the progressive GAN's code; keeps the root's gradient finite


class MinibatchDiscrimination(nn.Module):
    """Mean closeness to the rest of the batch (Salimans et al. 2016): N,F -> N,F+B.

    Learned kernels T of shape F,B,C map features to M = f T (B rows of C numbers per image). The
    statistic is o(x_i)_b = mean over j != i of exp(-|M_ib - M_jb|_1).
    """

    def __init__(self, num_features: int, num_kernels: int, kernel_dim: int) -> None:
        super().__init__()
        self.shape = (num_kernels, kernel_dim)
        self.out_features = num_features + num_kernels
        # |M_ib - M_jb| starts at order 1 for any F; otherwise every exp(-|.|) would be 0
        scale = num_features**-0.5 / kernel_dim
        self.kernels = nn.Parameter(torch.randn(num_features, num_kernels * kernel_dim) * scale)

    def statistic(self, f: Tensor) -> Tensor:
        """Return o(x), N,B, between 0 (all images far apart) and 1 (all equal)."""
        m = (f @ self.kernels).view(-1, *self.shape).transpose(0, 1)  # B,N,C
        closeness = torch.exp(-_distances(m)).sum(2).T - 1  # without the image itself
        return closeness / max(len(f) - 1, 1)

    def forward(self, f: Tensor) -> Tensor:
        return torch.cat([f, self.statistic(f)], dim=1)


def _distances(m: Tensor) -> Tensor:
    """Return L1 distances B,N,N between the rows of B,N,C.

    With its gradient, `cdist` takes 0.4 of the time on a CPU. On a GPU it runs a block of threads
    for each pair, which is far too many for C numbers.
    """
    if m.is_cuda:
        return (m[:, :, None] - m[:, None]).abs().sum(-1)
    exact = m.float() if m.dtype == torch.bfloat16 else m  # cdist does not support bfloat16
    return torch.cdist(exact, exact, p=1.0)


class MinibatchStandardDeviation(nn.Module):
    """Mean standard deviation of the features over the batch (Karras et al. 2018): N,F -> N,F+1."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.out_features = num_features + 1

    def statistic(self, f: Tensor) -> Tensor:
        """Return the mean over features of the deviation over the batch (divisor N): a scalar."""
        return ((f - f.mean(0)).square().mean(0) + EPSILON).sqrt().mean()

    def forward(self, f: Tensor) -> Tensor:
        return torch.cat([f, self.statistic(f).expand(f.shape[0], 1)], dim=1)
