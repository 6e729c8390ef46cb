"""A convolution with its batch norm folded in, in each precision of an extractor.

`exact` is float32; `bench.extractors.inception` describes `tf32`, `tf32x3` and `fp16`. A GPU rounds
in hardware. On a CPU the same roundings are computed in float32, and the exact form uses oneDNN's
convolution with the ReLU as a post-operation. With `fp16`, a GPU also stores the output of the
convolution, its bias and their sum as halves (cuDNN's convolution takes no bias, PyTorch adds it
afterwards); the CPU form rounds them in the same way.

Shape legend: N images, C channels, H W pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TF32_DROPPED_BITS = 13


def round_to_tf32(x: Tensor) -> Tensor:
    """Return float32 rounded to the 10 bits of mantissa of TF32, to nearest, ties to even."""
    bits = x.view(torch.int32)
    odd = (bits >> TF32_DROPPED_BITS) & 1
    rounded = (bits + ((1 << (TF32_DROPPED_BITS - 1)) - 1) + odd) & -(1 << TF32_DROPPED_BITS)
    return rounded.view(torch.float32)


def two_tf32(x: Tensor) -> Tensor:
    """Return the nearest TF32 number plus the one nearest to the remainder, in float32."""
    high = round_to_tf32(x)
    return high + round_to_tf32(x - high)


def round_to_half(x: Tensor) -> Tensor:
    """Return float32 rounded to float16, as float32."""
    return x.half().float()


class Conv(nn.Module):
    """A convolution with its batch norm folded in, followed by a ReLU if `relu` is set.

    `forward(x)` takes and returns N,C,H,W in the precision's own dtype.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        *,
        stride: int = 1,
        padding: tuple[int, int] = (0, 0),
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.stride, self.padding, self.relu = stride, padding, relu
        self.round_input: Callable[[Tensor], Tensor] | None = None  # emulation on a CPU
        self.round_output: Callable[[Tensor], Tensor] | None = None  # likewise
        self.has_three_terms = False
        self._packed: Tensor | None = None

    def set_precision(self, precision: str, device: str) -> None:
        """Round or split the weights once; inputs and outputs are rounded for each batch."""
        emulated = not device.startswith("cuda")
        weight = self.weight.data
        if precision == "tf32" and emulated:
            weight, self.round_input = round_to_tf32(weight), round_to_tf32
        elif precision == "fp16":
            weight = round_to_half(weight) if emulated else weight.half()
            if emulated:
                self.round_input = self.round_output = round_to_half
                self.bias.data = round_to_half(self.bias.data)
            else:
                self.bias.data = self.bias.data.half()
        elif precision == "tf32x3" and emulated:
            weight, self.round_input = two_tf32(weight), two_tf32
        elif precision == "tf32x3":
            high = round_to_tf32(weight)
            weight = torch.cat([high, round_to_tf32(weight - high), high], dim=1)
            self.has_three_terms = True
        self.weight.data = weight.to(device).contiguous(memory_format=torch.channels_last)
        self.bias.data = self.bias.data.to(device)

    def forward(self, x: Tensor) -> Tensor:
        if self.round_input is not None:
            x = self.round_input(x)
        if self.has_three_terms:
            high = round_to_tf32(x)
            x = torch.cat([high, high, round_to_tf32(x - high)], dim=1)
        if self.round_output is not None:
            out = F.conv2d(x, self.weight, None, self.stride, self.padding)
            out = self.round_output(self.round_output(out) + self.bias[:, None, None])
            return out.relu_() if self.relu else out
        if x.device.type == "cpu" and _has_fused_convolution():
            return self._fused(x)
        out = F.conv2d(x, self.weight, self.bias, self.stride, self.padding)
        return out.relu_() if self.relu else out

    def _fused(self, x: Tensor) -> Tensor:
        """Return the result of oneDNN's convolution with the ReLU as a post-operation."""
        stride, padding = [self.stride, self.stride], list(self.padding)
        if self._packed is None:
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight.data, padding, stride, [1, 1], 1, list(x.shape)
            )
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x.contiguous(memory_format=torch.channels_last),
            self._packed,
            self.bias.data,
            padding,
            stride,
            [1, 1],
            1,
            "relu" if self.relu else "none",
            [],
            "",
        )
        return out


@functools.cache
def _has_fused_convolution() -> bool:
    """Return whether this build of torch has the fused convolution of its compiler for CPUs."""
    return bool(torch.backends.mkldnn.is_available()) and all(  # type: ignore[no-untyped-call]
        hasattr(torch.ops.mkldnn, name)
        for name in ("_convolution_pointwise", "_reorder_convolution_weight")
    )
