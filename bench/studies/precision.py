"""How far each precision moves the FID: measured shifts beside what each would gain.

Images whose features are taken in another precision are compared with exact ones of other images
and, as a reference built in the same precision would, both in that precision. Variants that are
not offered for scores show where the error comes from. On a CPU the roundings are computed in
float32; a GPU's own units round the same values and add up in another order.

Shape legend: N images, D features.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.extractors.convolution import Conv, round_to_half
from bench.extractors.inception import CPU_BATCH, SIDE_PX, Inception
from bench.extractors.resampling import network_input
from bench.metrics.frechet import frechet_distance_to_features
from bench.runtime.devices import strict_float32
from bench.statistics.moments import Moments

Rounding = Callable[[Tensor], Tensor]
PROTOCOL = "torch-fidelity"
STEM_CONVOLUTIONS = 5  # those before the first mixed block, where the images are large


def round_to_bfloat16(x: Tensor) -> Tensor:
    """float32 rounded to bfloat16, kept in float32."""
    return x.bfloat16().float()


def two_halves(x: Tensor) -> Tensor:
    """The sum of the nearest half and the half nearest to the rest."""
    high = round_to_half(x)
    return high + round_to_half(x - high)


class Variant(NamedTuple):
    """What is rounded: weights and inputs of the convolutions from number `first` on; of one that
    is offered, what the network itself rounds in the precision of that name.
    """

    name: str
    weights: Rounding | None = None
    inputs: Rounding | None = None
    offered: bool = False
    first: int = 0


VARIANTS = (
    Variant("tf32x3", offered=True),
    Variant("tf32", offered=True),
    Variant("fp16", offered=True),
    Variant("fp16, stem exact", round_to_half, round_to_half, first=STEM_CONVOLUTIONS),
    Variant("fp16, weights of two halves", two_halves, round_to_half),
    Variant("the same, stem exact", two_halves, round_to_half, first=STEM_CONVOLUTIONS),
    Variant("fp16 weights alone", round_to_half, None),
    Variant("bf16", round_to_bfloat16, round_to_bfloat16),
)


def rounded(network: Inception, variant: Variant) -> Inception:
    """A copy of an exact network with the variant's roundings."""
    network = copy.deepcopy(network)
    if variant.offered:
        network.set_precision(variant.name, "cpu")
        return network
    convolutions = [module for module in network.modules() if isinstance(module, Conv)]
    for convolution in convolutions[variant.first :]:
        if variant.weights is not None:
            convolution.weight.data = variant.weights(convolution.weight.data)
        convolution.round_input = variant.inputs
    return network


@torch.inference_mode()
def features_of(network: Inception, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pooled features N,2048 of uint8 N,H,W,C."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).expand(-1, 3, -1, -1)
    with strict_float32():
        parts = [
            network(network_input(part, PROTOCOL, SIDE_PX), "2048")[0]
            for part in torch.split(x, CPU_BATCH)
        ]
    return np.asarray(torch.cat(parts).numpy())


class Shift(NamedTuple):
    """One row of the study: FIDs of the same images, and how far the features moved."""

    images: str
    num_images: int
    variant: str
    offered: bool
    fid_exact: float
    fid_against_exact: float
    fid_both: float
    feature_error: float  # root of the relative squared error

    @property
    def shift_against_exact(self) -> float:
        return self.fid_against_exact / self.fid_exact - 1

    @property
    def shift_both(self) -> float:
        return self.fid_both / self.fid_exact - 1


def measure(
    network: Inception,
    sets: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    progress: Callable[[str, int, int], None] | None = None,
) -> Iterator[Shift]:
    """Shifts of every variant on every set of (real, fake) images, uint8 N,H,W,C. `network` is
    exact, on the CPU, and has not been run: one that has cannot be copied.
    """
    done, total = 0, len(sets) * len(VARIANTS)
    unchanged = copy.deepcopy(network)
    for name, (real, fake) in sets.items():
        exact = [features_of(unchanged, images) for images in (real, fake)]
        fid_exact = fid(*exact)
        for variant in VARIANTS:
            done += 1
            if progress is not None:
                progress("precisions", done, total)
            changed = rounded(network, variant)
            moved = [features_of(changed, images) for images in (real, fake)]
            error = np.linalg.norm(moved[1] - exact[1]) / np.linalg.norm(exact[1])
            yield Shift(
                images=name,
                num_images=len(fake),
                variant=variant.name,
                offered=variant.offered,
                fid_exact=fid_exact,
                fid_against_exact=fid(exact[0], moved[1]),
                fid_both=fid(*moved),
                feature_error=float(error),
            )


def fid(real_ND: NDArray[np.float32], fake_ND: NDArray[np.float32]) -> float:
    return frechet_distance_to_features(Moments.of(real_ND), fake_ND).value
