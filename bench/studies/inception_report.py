"""The published studies of `inception`: images, run, records, page.

Each study is a folder with `records.jsonl`, a line a measured row, and a README made from it.
Photographs are random crops of the two that scikit-learn ships (427 x 640 px, Creative Commons).
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.datasets import load_dataset
from bench.errors import NothingFoundError
from bench.extractors import extractor_row
from bench.extractors.base import ExtractorChoice
from bench.extractors.inception import random_state, read_network
from bench.extractors.resampling import PROTOCOLS
from bench.runtime.whole_files import write_atomically
from bench.studies import precision as precision_study
from bench.studies import protocols as protocol_study
from bench.studies.protocols import BASE, NOISE_SD

Progress = Callable[[str, int, int], None]
Sets = dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]
PHOTO_SIZES = ((32, 32), (64, 48), (299, 299), (384, 512))  # height, width in px


def photo_crops(num: int, height_px: int, width_px: int, seed: int = 0) -> NDArray[np.uint8]:
    """Random crops of two photographs in turn, turned for a portrait: uint8 N,H,W,3."""
    # slow to import
    from sklearn.datasets import load_sample_images  # type: ignore[import-untyped]  # noqa: PLC0415

    photos = load_sample_images().images
    if height_px > photos[0].shape[0]:
        photos = [photo.transpose(1, 0, 2) for photo in photos]
    rng = np.random.default_rng(seed)
    crops = []
    for number in range(num):
        photo = photos[number % len(photos)]
        top = rng.integers(photo.shape[0] - height_px + 1)
        left = rng.integers(photo.shape[1] - width_px + 1)
        crops.append(photo[top : top + height_px, left : left + width_px])
    return np.stack(crops)


def image_sets(num: int, data_root: Path | None, *, photo_sizes: int = len(PHOTO_SIZES)) -> Sets:
    """Two disjoint sets of `num` real images of each kind, by name."""
    sets: Sets = {}
    for name in ("mnist", "fashion-mnist"):
        root = data_root if name == "mnist" else None
        images = load_dataset(name, "test", data_root=root).images
        sets[f"{name}, 28x28 grey"] = (images[:num], images[num : 2 * num])
    for height, width in PHOTO_SIZES[:photo_sizes]:
        crops = photo_crops(2 * num, height, width, seed=0)
        sets[f"photographs, {width}x{height}"] = (crops[:num], crops[num:])
    return sets


def random_weights_file(folder: Path) -> Path:
    """Untrained weights, for a machine that cannot have the published ones."""
    path = folder / "random-inception.pth"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(random_state(), path)
    return path


def run_protocols(
    out: Path,
    sets: Sets,
    choice: ExtractorChoice,
    *,
    weights: str,
    command: str,
    progress: Progress | None,
) -> None:
    """Measure and write the study of protocols into `out`."""
    row = extractor_row("inception")
    extractors = {
        protocol: row.resolve(ExtractorChoice(**{**vars(choice), "protocol": protocol})).load()
        for protocol in row.protocols
    }
    rows = [r._asdict() for r in protocol_study.measure(extractors, sets, progress)]
    _keep(out, rows, weights, command)
    render_protocols(out)


def run_precisions(
    out: Path,
    sets: Sets,
    choice: ExtractorChoice,
    *,
    weights: str,
    command: str,
    progress: Progress | None,
) -> None:
    """Measure and write the study of precisions into `out`; fakes are the second set's images."""
    resolved = extractor_row("inception").resolve(choice)
    assert resolved.weights_path is not None  # noqa: S101  (hosted weights have one)
    network = read_network(resolved.weights_path)
    network.set_precision("exact", "cpu")
    rows = [
        r._asdict() | {"shift_against_exact": r.shift_against_exact, "shift_both": r.shift_both}
        for r in precision_study.measure(network, sets, progress)
    ]
    _keep(out, rows, weights, command)
    render_precisions(out)


def _keep(out: Path, rows: list[dict[str, Any]], weights: str, command: str) -> None:
    about = {
        "weights": weights,
        "command": command,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }
    lines = [json.dumps(row | about, allow_nan=False) for row in rows]
    write_atomically(out / "records.jsonl", ("\n".join(lines) + "\n").encode())


def _rows(out: Path) -> list[dict[str, Any]]:
    path = out / "records.jsonl"
    if not path.is_file():
        raise NothingFoundError(f"{path}: no records of a study; run it first")
    return [json.loads(line) for line in path.read_text().splitlines()]


def _about(rows: list[dict[str, Any]]) -> list[str]:
    first = rows[0]
    threads = "1 thread" if first["threads"] == 1 else f"{first['threads']} threads"
    return [
        f"Made by `{first['command']}`, {first['num_images']} images a set, on "
        f"{first['machine']} with {threads}, torch {first['torch']}; weights: "
        f"**{first['weights']}**. One run; the images are the same for every row.",
        "",
    ]


def render_protocols(out: Path) -> None:
    """The page of the study of protocols, from its records."""
    rows = _rows(out)
    kinds = list(dict.fromkeys(row["images"] for row in rows))
    lines = ["# How far the FID protocols are apart", ""]
    lines += _about(rows)
    lines += [
        "The same images, the same network and weights, the same Fréchet distance: only the "
        "resizing to 299x299 px and the pixel scale differ, as each library has them. In brackets: "
        "the ratio to torch-fidelity's.",
        "",
    ]
    for title, key in (
        ("FID of other real images", "fid_fresh"),
        (f"FID of the same images with noise of {NOISE_SD:g} grey levels", "fid_noisy"),
        ("Mean difference to torch-fidelity's input, grey levels of 255", "input_difference"),
    ):
        lines += [f"## {title}", "", "| images | " + " | ".join(PROTOCOLS) + " |"]
        lines += ["|---|" + "---:|" * len(PROTOCOLS)]
        for kind in kinds:
            by_protocol = {row["protocol"]: row[key] for row in rows if row["images"] == kind}
            base = by_protocol[BASE]
            cells = [f"{base:.4g}"]
            for protocol in list(PROTOCOLS)[1:]:
                ratio = f" ({by_protocol[protocol] / base:.3f})" if base else ""
                cells.append(f"{by_protocol[protocol]:.4g}{ratio}")
            lines.append(f"| {kind} | " + " | ".join(cells) + " |")
        lines.append("")
    write_atomically(out / "README.md", "\n".join(lines).encode())


def render_precisions(out: Path) -> None:
    """The page of the study of precisions, from its records."""
    rows = _rows(out)
    lines = ["# How far each precision moves the FID", ""]
    lines += _about(rows)
    lines += [
        "Roundings are computed in float32 (no GPU took part): the values that tensor cores "
        "would multiply, added up in float32. *Against exact*: fakes in this precision, reference "
        "in `exact`. *Both*: reference and fakes in this precision. Relative to the exact FID.",
        "",
        "| images | precision | offered | against exact | both | features |",
        "|---|---|---|---:|---:|---:|",
    ]
    lines += [
        f"| {row['images']} | {row['variant']} | {'yes' if row['offered'] else ''} | "
        f"{row['shift_against_exact']:+.1e} | {row['shift_both']:+.1e} | "
        f"{row['feature_error']:.1e} |"
        for row in rows
    ]
    lines += [
        "",
        "| images | exact FID |",
        "|---|---:|",
        *(
            f"| {kind} | {value:.6g} |"
            for kind, value in {row["images"]: row["fid_exact"] for row in rows}.items()
        ),
        "",
    ]
    write_atomically(out / "README.md", "\n".join(lines).encode())
