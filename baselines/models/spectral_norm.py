"""Spectral normalisation of weights (Miyato et al. 2018, algorithm 1).

Each use in training takes one step of the power method; its vector u is a buffer. A convolution's
kernel counts as a matrix of out_channels rows, as in the paper.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

INITIAL_ITERATIONS = 15
EPSILON = 1e-12


class SpectralNorm(nn.Module):
    """A parametrization that divides a weight by its largest singular value."""

    u: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        u = F.normalize(torch.randn(matrix.shape[0]), dim=0, eps=EPSILON)
        for _ in range(INITIAL_ITERATIONS):
            u = self._iterate(matrix, u)[0]
        self.register_buffer("u", u)

    @staticmethod
    def _iterate(matrix: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        v = F.normalize(u @ matrix, dim=0, eps=EPSILON)
        return F.normalize(matrix @ v, dim=0, eps=EPSILON), v

    def forward(self, weight: Tensor) -> Tensor:
        matrix = weight.flatten(1)
        with torch.no_grad():
            u, v = self._iterate(matrix, self.u)
            if self.training:
                self.u.copy_(u)
        return weight / (u @ (matrix @ v))


def add_spectral_norm(network: nn.Module) -> None:
    """Normalise the weights of every linear layer and convolution, in place.

    Draws the initial vectors from torch's default generator.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Linear | nn.Conv2d):
            parametrize.register_parametrization(
                module, "weight", SpectralNorm(module.weight), unsafe=True
            )
