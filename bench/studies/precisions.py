"""How much each precision changes the FID, and what it would change if it were offered.

Features of images in another precision are compared with exact features of other images, and with
features of those images in the same precision, as for a reference that was built in it. Variants
that are not offered for scores show where the error comes from. On a CPU the roundings are
computed in float32; a GPU rounds the same values and adds them up in another order.

Shape legend: N images, D features.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.extractors import extractor_row
from bench.extractors.base import ExtractorChoice
from bench.extractors.convolution import Conv, round_to_half
from bench.extractors.inception import CPU_BATCH, SIDE_PX, Inception, read_network
from bench.extractors.resampling import network_input
from bench.metrics.frechet import frechet_distance_to_features
from bench.runtime.devices import strict_float32
from bench.runtime.progress import Progress
from bench.statistics.moments import Moments
from bench.studies.image_sets import ImageSets
from bench.studies.inception_study import circumstances, circumstances_text
from bench.studies.study_folder import read_rows, write_page, write_rows
from bench.tables.escaping import markdown_table

Rounding = Callable[[Tensor], Tensor]
PROTOCOL = "torch-fidelity"
STEM_CONVOLUTIONS = 5  # before the first mixed block, where feature maps are large


def round_to_bfloat16(x: Tensor) -> Tensor:
    """Return float32 values rounded to bfloat16, stored as float32."""
    return x.bfloat16().float()


def two_halves(x: Tensor) -> Tensor:
    """Return each value as the sum of two halves: the nearest one, and the nearest to the rest."""
    high = round_to_half(x)
    return high + round_to_half(x - high)


class Variant(NamedTuple):
    """Which roundings a variant applies to the convolutions from number `first` on.

    A variant with `offered` is a precision of the network, which then does its own rounding.
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
    """Return a copy of an exact network with the roundings of a variant."""
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
    """Return the pooled features N,2048 of uint8 images N,H,W,C."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).expand(-1, 3, -1, -1)
    with strict_float32():
        parts = [
            network(network_input(part, PROTOCOL, SIDE_PX), "2048")[0]
            for part in torch.split(x, CPU_BATCH)
        ]
    return np.asarray(torch.cat(parts).numpy())


class Shift(NamedTuple):
    """One variant on one kind of image: FIDs of the same images, and the error of the features."""

    images: str
    num_images: int
    variant: str
    offered: bool
    fid_exact: float
    fid_against_exact: float
    fid_both: float
    feature_error: float  # relative error, root of the sum of squares

    @property
    def shift_against_exact(self) -> float:
        """Relative change of the FID when only the fakes have this precision."""
        return self.fid_against_exact / self.fid_exact - 1

    @property
    def shift_both(self) -> float:
        """Relative change of the FID when fakes and reference have this precision."""
        return self.fid_both / self.fid_exact - 1


def measure(
    network: Inception,
    sets: ImageSets,
    progress: Progress | None = None,
) -> Iterator[Shift]:
    """Yield one row for every kind of image and every variant.

    Each entry of `sets` holds real and fake images. `network` is exact, on the CPU, and has not
    been run yet: a network that has been run cannot be copied.
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
    """Return the FID between the features of real and of fake images."""
    return frechet_distance_to_features(Moments.of(real_ND), fake_ND).value


def run_study(
    out: Path,
    sets: ImageSets,
    choice: ExtractorChoice,
    *,
    weights: str,
    command: str,
    progress: Progress | None = None,
) -> None:
    """Measure all variants and write records and page into `out`.

    The second set of each kind of image plays the fakes. `weights` and `command` say on the page
    what was run.
    """
    resolved = extractor_row("inception").resolve(choice)
    assert resolved.weights_path is not None  # noqa: S101  (downloaded weights have a path)
    network = read_network(resolved.weights_path)
    network.set_precision("exact", "cpu")
    about = circumstances(weights, command)
    rows = [
        shift._asdict()
        | {"shift_against_exact": shift.shift_against_exact, "shift_both": shift.shift_both}
        | about
        for shift in measure(network, sets, progress)
    ]
    write_rows(out, rows)
    write_report(out)


def write_report(out: Path) -> None:
    """Write the page of the study from its records in `out`."""
    rows = read_rows(out)
    shifts = [
        [
            row["images"],
            row["variant"],
            "yes" if row["offered"] else "",
            f"{row['shift_against_exact']:+.1e}",
            f"{row['shift_both']:+.1e}",
            f"{row['feature_error']:.1e}",
        ]
        for row in rows
    ]
    exact = {row["images"]: row["fid_exact"] for row in rows}
    lines = [
        "# How much each precision changes the FID",
        "",
        circumstances_text(rows[0]),
        "",
        "The columns *against exact* and *both* are changes relative to the exact FID. *Against "
        "exact*: only the fakes are computed in this precision. *Both*: fakes and reference are. "
        "*Features*: relative error of the features. No GPU took part: the values that tensor "
        "cores would multiply are computed and added up in float32.",
        "",
        *markdown_table(
            ["images", "precision", "offered", "against exact", "both", "features"],
            shifts,
            num_text=3,
        ),
        "",
        *markdown_table(
            ["images", "exact FID"], ([kind, f"{value:.6g}"] for kind, value in exact.items())
        ),
    ]
    write_page(out, lines)
