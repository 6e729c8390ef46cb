"""How much the FID depends on the named protocol, on the same images.

Between real images and (a) other real images, (b) the same images with noise, the FID of every
protocol is measured for each kind of image. Independent of any network, the mean difference in
grey levels between the resized inputs of two protocols is measured too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bench.extractors import extractor_row
from bench.extractors.base import Extractor, ExtractorChoice
from bench.extractors.inception import SIDE_PX
from bench.extractors.resampling import PROTOCOLS, resample
from bench.runtime.progress import Progress
from bench.studies.image_sets import ImageSets
from bench.studies.inception_study import circumstances, circumstances_text
from bench.studies.precisions import fid
from bench.studies.study_folder import Row, read_rows, write_page, write_rows
from bench.tables.escaping import markdown_table

BASE = "torch-fidelity"
NOISE_SD = 10.0  # grey levels


class Difference(NamedTuple):
    """One protocol measured on one kind of image."""

    images: str
    num_images: int
    protocol: str
    input_difference: float  # mean absolute difference from torch-fidelity's input, in grey levels
    fid_fresh: float
    fid_noisy: float


def noisy(images: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Return uint8 images N,H,W,C with Gaussian noise of `NOISE_SD` grey levels."""
    noise = np.random.default_rng(seed).standard_normal(images.shape) * NOISE_SD
    return np.asarray((images + noise).round().clip(0, 255).astype(np.uint8))


def measure(
    extractors: dict[str, Extractor],
    sets: ImageSets,
    progress: Progress | None = None,
) -> Iterator[Difference]:
    """Yield one row for every kind of image and every protocol (a key of `extractors`)."""
    done, total = 0, len(sets) * len(extractors)
    for name, (real, fresh) in sets.items():
        x = torch.from_numpy(real).permute(0, 3, 1, 2)
        base = resample(x, BASE, SIDE_PX)
        disturbed = noisy(real, seed=0)
        for protocol, extractor in extractors.items():
            features = [extractor(images).values for images in (real, fresh, disturbed)]
            done += 1
            if progress is not None:
                progress("protocols", done, total)
            yield Difference(
                images=name,
                num_images=len(real),
                protocol=protocol,
                input_difference=float((resample(x, protocol, SIDE_PX) - base).abs().mean()),
                fid_fresh=fid(features[0], features[1]),
                fid_noisy=fid(features[0], features[2]),
            )


def run_study(
    out: Path,
    sets: ImageSets,
    choice: ExtractorChoice,
    *,
    weights: str,
    command: str,
    progress: Progress | None = None,
) -> None:
    """Measure all protocols and write records and page into `out`.

    `weights` and `command` say on the page what was run.
    """
    row = extractor_row("inception")
    extractors = {
        protocol: row.resolve(ExtractorChoice(**{**vars(choice), "protocol": protocol})).load()
        for protocol in row.protocols
    }
    about = circumstances(weights, command)
    write_rows(out, [one._asdict() | about for one in measure(extractors, sets, progress)])
    write_report(out)


def write_report(out: Path) -> None:
    """Write the page of the study from its records in `out`."""
    rows = read_rows(out)
    lines = [
        "# How much the FID depends on the protocol",
        "",
        circumstances_text(rows[0]),
        "",
        "Images, network, weights and Fréchet distance are the same. Only the resizing to 299x299 "
        "px and the scaling of the pixels differ, as they do between the libraries. Never compare "
        "FIDs of two protocols. In brackets: the ratio to torch-fidelity's value.",
        "",
    ]
    for title, key in (
        ("FID of other real images", "fid_fresh"),
        (f"FID of the same images with noise of {NOISE_SD:g} grey levels", "fid_noisy"),
        ("Mean difference from torch-fidelity's input, in grey levels of 255", "input_difference"),
    ):
        table = markdown_table(["images", *PROTOCOLS], _table_rows(rows, key))
        lines += [f"## {title}", "", *table, ""]
    write_page(out, lines)


def _table_rows(rows: list[Row], key: str) -> Iterator[list[str]]:
    for kind in dict.fromkeys(row["images"] for row in rows):
        by_protocol = {row["protocol"]: row[key] for row in rows if row["images"] == kind}
        base = by_protocol[BASE]
        cells = [f"{base:.4g}"]
        for protocol in list(PROTOCOLS)[1:]:
            ratio = f" ({by_protocol[protocol] / base:.3f})" if base else ""
            cells.append(f"{by_protocol[protocol]:.4g}{ratio}")
        yield [kind, *cells]
