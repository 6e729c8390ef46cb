"""InceptionV3 with the 2015 TensorFlow weights, in inference form: the literature's FID.

Architecture and weights file are torch-fidelity's ("inception-v3-compat"). With precision `exact`,
features agree with its `FeatureExtractorInceptionV3` to 1e-6 relative. They are computed
differently:

- batch norms are folded into the convolutions (in float64), and ReLUs are fused with them;
- the layout is channels-last, and batches on a CPU are small, so that activations stay in cache;
- an average pool followed by a 1x1 convolution is done in the other order: both are linear, and
  the pool then sees 32 to 192 channels instead of 192 to 2048;
- resizing is two matrix products on the device (`resampling`).

Precisions. `exact`: float32 throughout, TF32 off. `tf32`: convolutions round their inputs and
weights to 10 bits of mantissa, the default of PyTorch on a GPU. `tf32x3`: inputs and weights are
each the sum of two such numbers, and the three largest products are added (Ootomo and Yokota 2022,
arXiv:2203.03341), with an error of 1e-6. `fp16`: inputs, weights and outputs in half precision,
sums over products in float32. A CPU computes the same roundings in float32: not faster, but
comparable with a GPU.

Shape legend: N images, C channels, H W pixels, D features, K classes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import BundleError, UsageError
from bench.extractors.base import ResolvedExtractor
from bench.extractors.compiling import CompiledOncePaid
from bench.extractors.convolution import Conv
from bench.extractors.network import NetworkExtractor, Outputs
from bench.extractors.resampling import network_input
from bench.extractors.weights_files import load_state
from bench.runtime.devices import free_memory_bytes, strict_float32, tf32_allowed

SIDE_PX = 299
CPU_BATCH = 8  # measured: best of 2 to 64 on two cores; larger batches do not fit the cache
CUDA_BATCH = 500
BYTES_AN_IMAGE = 24 << 20  # peak of the activations of one image in float32, with a margin
EPS = 0.001


class PooledConv(nn.Module):
    """3x3 average over the pixels inside the image and a 1x1 `Conv`, in the cheaper order."""

    def __init__(self, conv: Conv) -> None:
        super().__init__()
        conv.relu = False
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        if self.conv.round_output is not None:
            x = self.conv.round_output(x)
        return x.relu_()


class MaxPool(nn.Module):
    """3x3 maximum; `stride` 1 keeps the size."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, stride=self.stride, padding=1 if self.stride == 1 else 0)


class Branches(nn.Module):
    """Several paths over one input, with their outputs concatenated along the channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class _Builder:
    """Takes tensors from a state dict: each convolution by its name, its batch norm folded in."""

    def __init__(self, state: dict[str, Tensor], path: Path) -> None:
        self.state, self.path = dict(state), path

    def take(self, name: str) -> Tensor:
        if name not in self.state:
            raise BundleError(
                f"{self.path}: no tensor {name!r}; these are not the weights of InceptionV3 in "
                "torch-fidelity's (or pytorch-fid's) form"
            )
        return self.state.pop(name)

    def conv(
        self,
        name: str,
        shape: tuple[int, int, int, int],
        *,
        stride: int = 1,
        padding: tuple[int, int] = (0, 0),
    ) -> Conv:
        weight = self.shaped(f"{name}.conv.weight", shape).double()
        out = shape[:1]
        gain, shift, mean, variance = (
            self.shaped(f"{name}.bn.{part}", out).double()
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        self.state.pop(f"{name}.bn.num_batches_tracked", None)
        scale = gain / (variance + EPS).sqrt()
        return Conv(
            self._float32(weight * scale[:, None, None, None], f"{name} with its batch norm"),
            self._float32(shift - mean * scale, f"{name} with its batch norm"),
            stride=stride,
            padding=padding,
        )

    def linear(self, name: str, shape: tuple[int, ...]) -> nn.Parameter:
        value = self._float32(self.shaped(name, shape), name)
        return nn.Parameter(value, requires_grad=False)

    def shaped(self, name: str, shape: tuple[int, ...]) -> Tensor:
        found = self.take(name)
        if tuple(found.shape) != shape:
            raise BundleError(
                f"{self.path}: tensor {name!r} has shape {tuple(found.shape)}, expected {shape}"
            )
        if not found.is_floating_point():
            raise BundleError(
                f"{self.path}: tensor {name!r} is {found.dtype}, expected real floating point"
            )
        return found

    def _float32(self, value: Tensor, what: str) -> Tensor:
        """Return float32, checked here because a ReLU may turn NaN into 0."""
        value = value.float()
        if not bool(torch.isfinite(value).all()):
            raise BundleError(
                f"{self.path}: {what} is NaN or infinite in float32; a variance is negative, or a "
                "value is too large: these are not the weights of a trained network"
            )
        return value


class _RandomBuilder(_Builder):
    """Draws each tensor at random, and keeps it in `made` under its name."""

    def __init__(self, seed: int) -> None:
        super().__init__({}, Path("random weights"))
        self.made: dict[str, Tensor] = {}
        self._generator = torch.Generator().manual_seed(seed)

    def shaped(self, name: str, shape: tuple[int, ...]) -> Tensor:
        normal = torch.randn(shape, generator=self._generator)
        value: Tensor
        if name.endswith("conv.weight"):
            value = normal * (2 / normal[0].numel()) ** 0.5
        elif name.endswith(("bn.weight", "running_var")):
            value = 0.75 + 0.5 * torch.rand(shape, generator=self._generator)
        else:
            value = normal * (0.03 if name == "fc.weight" else 0.1)
        self.made[name] = value
        return value


def random_state(seed: int = 0) -> dict[str, Tensor]:
    """Return random weights in the form of the published file: He-scaled convolutions, and batch
    norms that are far from identity. They serve to compare two programs and their speed.
    """
    builder = _RandomBuilder(seed)
    Inception(builder)
    return builder.made


class Inception(nn.Module):
    """`forward(x, layer)`: scaled input N,3,299,299 -> (features N,D, logits N,1008), float32.

    Features are the spatial means after the first and second max pool (64, 192), before the
    auxiliary classifier (768), at the end (2048), or the class logits with bias. The second result
    are the logits without bias, which the Inception Score uses.
    """

    def __init__(self, take: _Builder) -> None:
        super().__init__()
        self.to_64 = nn.Sequential(
            take.conv("Conv2d_1a_3x3", (32, 3, 3, 3), stride=2),
            take.conv("Conv2d_2a_3x3", (32, 32, 3, 3)),
            take.conv("Conv2d_2b_3x3", (64, 32, 3, 3), padding=(1, 1)),
            MaxPool(2),
        )
        self.to_192 = nn.Sequential(
            take.conv("Conv2d_3b_1x1", (80, 64, 1, 1)),
            take.conv("Conv2d_4a_3x3", (192, 80, 3, 3)),
            MaxPool(2),
        )
        self.to_768 = nn.Sequential(
            _block_a(take, "Mixed_5b", 192, 32),
            _block_a(take, "Mixed_5c", 256, 64),
            _block_a(take, "Mixed_5d", 288, 64),
            _block_b(take, "Mixed_6a"),
            _block_c(take, "Mixed_6b", 128),
            _block_c(take, "Mixed_6c", 160),
            _block_c(take, "Mixed_6d", 160),
            _block_c(take, "Mixed_6e", 192),
        )
        self.to_2048 = nn.Sequential(
            _block_d(take, "Mixed_7a"),
            _block_e(take, "Mixed_7b", 1280, pools_average=True),
            _block_e(take, "Mixed_7c", 2048, pools_average=False),
        )
        self.fc_weight = take.linear("fc.weight", (1008, 2048))
        self.fc_bias = take.linear("fc.bias", (1008,))
        if take.state:
            raise BundleError(
                f"{take.path}: {len(take.state)} tensors that InceptionV3 does not have, "
                f"such as {next(iter(take.state))!r}"
            )

    def forward(self, x: Tensor, layer: str) -> Outputs:
        features = None
        for name, stage in (("64", self.to_64), ("192", self.to_192), ("768", self.to_768)):
            x = stage(x)
            if layer == name:
                features = _spatial_mean(x)
        pooled = _spatial_mean(self.to_2048(x))
        logits = pooled @ self.fc_weight.T
        if layer == "logits":
            features = logits + self.fc_bias
        return pooled if features is None else features, logits

    def set_precision(self, precision: str, device: str) -> None:
        """Move the network to `device` with convolutions in `precision`; the rest stays float32."""
        for module in self.modules():
            if isinstance(module, Conv):
                module.set_precision(precision, device)
        self.fc_weight.data = self.fc_weight.data.to(device)
        self.fc_bias.data = self.fc_bias.data.to(device)


def _spatial_mean(x: Tensor) -> Tensor:
    return x.float().mean(dim=(2, 3))


def _block_a(take: _Builder, name: str, inputs: int, pool_features: int) -> Branches:
    return Branches(
        take.conv(f"{name}.branch1x1", (64, inputs, 1, 1)),
        nn.Sequential(
            take.conv(f"{name}.branch5x5_1", (48, inputs, 1, 1)),
            take.conv(f"{name}.branch5x5_2", (64, 48, 5, 5), padding=(2, 2)),
        ),
        nn.Sequential(
            take.conv(f"{name}.branch3x3dbl_1", (64, inputs, 1, 1)),
            take.conv(f"{name}.branch3x3dbl_2", (96, 64, 3, 3), padding=(1, 1)),
            take.conv(f"{name}.branch3x3dbl_3", (96, 96, 3, 3), padding=(1, 1)),
        ),
        PooledConv(take.conv(f"{name}.branch_pool", (pool_features, inputs, 1, 1))),
    )


def _block_b(take: _Builder, name: str) -> Branches:
    return Branches(
        take.conv(f"{name}.branch3x3", (384, 288, 3, 3), stride=2),
        nn.Sequential(
            take.conv(f"{name}.branch3x3dbl_1", (64, 288, 1, 1)),
            take.conv(f"{name}.branch3x3dbl_2", (96, 64, 3, 3), padding=(1, 1)),
            take.conv(f"{name}.branch3x3dbl_3", (96, 96, 3, 3), stride=2),
        ),
        MaxPool(2),
    )


def _block_c(take: _Builder, name: str, width: int) -> Branches:
    row, column = (1, 7), (7, 1)

    def conv(branch: str, out: int, inputs: int, kernel: tuple[int, int]) -> Conv:
        padding = (kernel[0] // 2, kernel[1] // 2)
        return take.conv(f"{name}.{branch}", (out, inputs, *kernel), padding=padding)

    return Branches(
        conv("branch1x1", 192, 768, (1, 1)),
        nn.Sequential(
            conv("branch7x7_1", width, 768, (1, 1)),
            conv("branch7x7_2", width, width, row),
            conv("branch7x7_3", 192, width, column),
        ),
        nn.Sequential(
            conv("branch7x7dbl_1", width, 768, (1, 1)),
            conv("branch7x7dbl_2", width, width, column),
            conv("branch7x7dbl_3", width, width, row),
            conv("branch7x7dbl_4", width, width, column),
            conv("branch7x7dbl_5", 192, width, row),
        ),
        PooledConv(conv("branch_pool", 192, 768, (1, 1))),
    )


def _block_d(take: _Builder, name: str) -> Branches:
    return Branches(
        nn.Sequential(
            take.conv(f"{name}.branch3x3_1", (192, 768, 1, 1)),
            take.conv(f"{name}.branch3x3_2", (320, 192, 3, 3), stride=2),
        ),
        nn.Sequential(
            take.conv(f"{name}.branch7x7x3_1", (192, 768, 1, 1)),
            take.conv(f"{name}.branch7x7x3_2", (192, 192, 1, 7), padding=(0, 3)),
            take.conv(f"{name}.branch7x7x3_3", (192, 192, 7, 1), padding=(3, 0)),
            take.conv(f"{name}.branch7x7x3_4", (192, 192, 3, 3), stride=2),
        ),
        MaxPool(2),
    )


def _block_e(take: _Builder, name: str, inputs: int, *, pools_average: bool) -> Branches:
    """Return one of the last two blocks. The TensorFlow graph pools by maximum in the last one."""

    def split(branch: str) -> Branches:
        return Branches(
            take.conv(f"{name}.{branch}a", (384, 384, 1, 3), padding=(0, 1)),
            take.conv(f"{name}.{branch}b", (384, 384, 3, 1), padding=(1, 0)),
        )

    pool = take.conv(f"{name}.branch_pool", (192, inputs, 1, 1))
    return Branches(
        take.conv(f"{name}.branch1x1", (320, inputs, 1, 1)),
        nn.Sequential(
            take.conv(f"{name}.branch3x3_1", (384, inputs, 1, 1)),
            split("branch3x3_2"),
        ),
        nn.Sequential(
            take.conv(f"{name}.branch3x3dbl_1", (448, inputs, 1, 1)),
            take.conv(f"{name}.branch3x3dbl_2", (384, 448, 3, 3), padding=(1, 1)),
            split("branch3x3dbl_3"),
        ),
        PooledConv(pool) if pools_average else nn.Sequential(MaxPool(1), pool),
    )


@functools.lru_cache(maxsize=2)
def _network(path: Path, _digest: str, precision: str, device: str) -> Inception:
    """Return the network, the same one for all protocols and layers of these weights."""
    network = read_network(path)
    network.set_precision(precision, device)
    return network


def read_network(path: Path) -> Inception:
    """Return the network of a weights file, on the CPU in float32. Raises `BundleError`."""
    return Inception(_Builder(load_state(path), path)).eval()


def load(resolved: ResolvedExtractor, device: str) -> NetworkExtractor:
    """Return the extractor for one layer, protocol and precision.

    Raises `BundleError` for weights of another network, and `UsageError` for compiling on a CPU.
    """
    layer, protocol, precision = (
        resolved.settings[kind] for kind in ("layer", "protocol", "precision")
    )
    assert resolved.weights_path is not None  # noqa: S101  (hosted weights have one)
    network = _network(resolved.weights_path, resolved.digest, precision, device)
    half = device.startswith("cuda") and precision == "fp16"

    batch_size = resolved.batch_size or _batch_size(device)
    run: Callable[..., Outputs] = network
    compiling = None
    if resolved.compiled:
        if not device.startswith("cuda"):
            raise UsageError(
                "--compile is for a GPU; on a CPU the plain network is faster (measured: "
                "24 images/s against 22). Leave it out."
            )
        run = compiling = CompiledOncePaid(network, batch_size)

    def forward(x: Tensor) -> Outputs:
        scaled = network_input(x, protocol, SIDE_PX)
        return run(scaled.half() if half else scaled, layer)

    context: Any = tf32_allowed if precision.startswith("tf32") else strict_float32
    return NetworkExtractor(
        name=resolved.name,
        digest=resolved.digest,
        device=device,
        forward=forward,
        batch_size=batch_size,
        precision=context,
        compiling=compiling,
    )


def _batch_size(device: str) -> int:
    if not device.startswith("cuda"):
        return CPU_BATCH
    return max(1, min(CUDA_BATCH, free_memory_bytes(device) // (2 * BYTES_AN_IMAGE)))
