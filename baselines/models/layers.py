"""Building blocks of the adversarial networks: activation, normalisation, dropout, head, weights.

Shape legend: N images, C channels, H rows, W columns, F features, U units.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.models.base import Activation, Head, Layers

SLOPE = 0.2
CONV_INIT_STD = 0.02  # Radford et al. 2016, section 4


def activate(x: Tensor, activation: Activation) -> Tensor:
    """Apply ReLU, or leaky ReLU of slope 0.2.

    >>> activate(torch.tensor([-1.0, 2.0]), "leaky")
    tensor([-0.2000,  2.0000])
    """
    return F.relu(x) if activation == "relu" else F.leaky_relu(x, SLOPE)


def normalise(norm: nn.Module, h: Tensor) -> Tensor:
    """Apply a batch-norm layer, in float32 even when the rest of the network runs in bfloat16.

    Stacked runs support batch norm in float32 only.
    """
    if h.dtype != torch.bfloat16 or isinstance(norm, nn.Identity):
        normal: Tensor = norm(h)
        return normal
    with torch.autocast(h.device.type, enabled=False):
        exact: Tensor = norm(h.float())
        return exact


def apply_keep(h: Tensor, keep: Tensor | None, start: int) -> Tensor:
    """Multiply `h` (N,U' or N,U',H,W) by columns `start` .. `start + U' - 1` of the dropout
    multiplier N,U.
    """
    if keep is None:
        return h
    part = keep[:, start : start + h.shape[1]]
    return h * part.reshape(*part.shape, *(1,) * (h.dim() - 2))


def build_head(num_features: int, layers: Layers) -> tuple[nn.Module | None, int]:
    """Return the head that a trick adds, or None, and the number of inputs of the logit."""
    if layers.head is None:
        return None, num_features
    head = layers.head(num_features)
    return head, cast("Head", head).out_features


@torch.no_grad()
def conv_init(network: nn.Module) -> None:
    """Draw weights from N(0, 0.02^2) and batch-norm gains from N(1, 0.02^2), set biases to 0.

    Parameters of a head keep their own initial values. Uses torch's default generator.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.weight.normal_(0, CONV_INIT_STD)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.weight.normal_(1, CONV_INIT_STD)
            module.bias.zero_()
