"""Build a reference bundle from the images of a data set or folder; see `bench.references`."""

from __future__ import annotations

import functools
import hashlib
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import provenance
from bench.datasets import load_dataset, user_data_dir
from bench.errors import InputError, UsageError
from bench.expected import held_out_values
from bench.extractors import EXTRACTORS, extractor_row
from bench.extractors.base import Extractor
from bench.intake import image_set_of, read_images
from bench.metrics import METRICS
from bench.neighbours import NearestNeighbours, nearest_neighbours
from bench.references import (
    DEFAULT_EXTRACTORS,
    NUM_NEIGHBOURS,
    SUBSET_SIZE,
    Manifest,
    load_reference,
    manifest_json,
)
from bench.stats import Features, Moments, arrays_to_bytes, write_atomically

SUBSET_SEED = 2020
HELD_OUT_SIZES = (1_000, 2_000, 5_000, 10_000)
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
MAX_HALF = 65_504.0  # largest float16

Progress = Callable[[str, int, int], None]


def _half(values: NDArray[np.float32], what: str) -> NDArray[np.float16]:
    largest = float(np.abs(values).max())
    if not largest <= MAX_HALF:
        raise InputError(f"{what} reach {largest:.3g}; they cannot be kept as float16")
    return values.astype(np.float16)


def _store_nearest(
    arrays: dict[str, NDArray[np.generic]], split: str, nearest: NearestNeighbours
) -> None:
    arrays[f"{split}_nearest_distances"] = nearest.distances.astype(np.float32)
    arrays[f"{split}_nearest_indices"] = nearest.indices.astype(np.int32)


def _class_counts(features: Features) -> NDArray[np.int64] | None:
    if features.logits is None:
        return None
    predicted = features.logits.argmax(axis=1)
    return np.bincount(predicted, minlength=features.logits.shape[1])


def bundle_arrays(
    train: Features,
    test: Features | None,
    *,
    labels: Mapping[str, NDArray[np.int64]] | None = None,
    device: str = "cpu",
) -> dict[str, NDArray[np.generic]]:
    """The arrays of a bundle from the features of both splits and, if known, their labels.

    Neighbours are those of the features as stored (float16), so that a bundle is consistent in
    itself.
    """
    labels = labels or {}
    moments = Moments.of(train.values)
    size = min(SUBSET_SIZE, len(train.values))
    chosen = np.sort(np.random.default_rng(SUBSET_SEED).permutation(len(train.values))[:size])
    kept = _half(train.values[chosen], "train features")
    subset = kept.astype(np.float32)
    arrays: dict[str, NDArray[np.generic]] = {
        "train_mean": moments.mean,
        "train_m2": moments.m2,
        "train_features": kept,
        "train_indices": chosen.astype(np.int32),
    }
    if "train" in labels:
        arrays["train_labels"] = labels["train"][chosen].astype(np.int32)
    counts = _class_counts(train)
    if counts is not None:
        arrays["train_class_counts"] = counts
    nearest = nearest_neighbours(subset, subset, NUM_NEIGHBOURS, exclude_self=True, device=device)
    _store_nearest(arrays, "train", nearest)
    if test is not None:
        test_moments = Moments.of(test.values)
        test_kept = _half(test.values, "test features")
        arrays["test_mean"], arrays["test_m2"] = test_moments.mean, test_moments.m2
        arrays["test_features"] = test_kept
        if test.logits is not None:
            arrays["test_logits"] = _half(test.logits, "test logits")
        if "test" in labels:
            arrays["test_labels"] = labels["test"].astype(np.int32)
        nearest = nearest_neighbours(
            test_kept.astype(np.float32), subset, NUM_NEIGHBOURS, device=device
        )
        _store_nearest(arrays, "test", nearest)
    return arrays


def build_reference(
    name: str,
    out: Path,
    *,
    extractor: str,
    train: NDArray[np.uint8],
    test: NDArray[np.uint8] | None,
    labels: Mapping[str, NDArray[np.int64]] | None = None,
    command: str,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Path:
    """Write `NAME-EXTRACTOR.npz` and `.json` into the folder `out`; returns the manifest's path.

    `train` and `test` are uint8 N,H,W,C. `command` is recorded as the way to rebuild the bundle.
    The arrays are in place before the manifest that names their digest.
    """
    if len(train) <= NUM_NEIGHBOURS:
        raise InputError(f"{len(train)} train images; a reference needs at least 6")
    row = extractor_row(extractor)
    network: Extractor = row.load(device)

    def extract(images: NDArray[np.uint8], split: str) -> Features:
        report = None
        if progress is not None:
            notify = progress

            def report(done: int, total: int) -> None:
                notify(f"features of {split}", done, total)

        return network(images, progress=report)

    splits = {"train": train} | ({} if test is None else {"test": test})
    train_features = extract(train, "train")
    test_features = None if test is None else extract(test, "test")
    arrays = bundle_arrays(train_features, test_features, labels=labels, device=device)
    data = arrays_to_bytes(arrays, compress=True)
    manifest = Manifest(
        name=name,
        extractor=extractor,
        extractor_digest=row.sha256,
        height_px=train.shape[1],
        width_px=train.shape[2],
        channels=3 if train.shape[3] == 3 else 1,
        num_train=len(train),
        num_test=0 if test is None else len(test),
        num_subset=len(arrays["train_features"]),
        subset_seed=SUBSET_SEED,
        data_digests={split: image_set_of(images).pixel_digest for split, images in splits.items()},
        code_version=provenance.version(),
        command=command,
        arrays_sha256=hashlib.sha256(data).hexdigest(),
    )
    stem = f"{name}-{extractor}"
    write_atomically(out / f"{stem}.npz", data)
    path = out / f"{stem}.json"
    write_atomically(path, manifest_json(manifest))
    if test is not None:
        held_out = _held_out(path, len(test), device)
        write_atomically(path, manifest_json(manifest.model_copy(update={"held_out": held_out})))
    return path


def _held_out(path: Path, num_test: int, device: str) -> dict[str, dict[str, float | None]]:
    """Scores of held-out real images at the usual sizes, so that scoring need not wait for them."""
    reference = load_reference(path)
    metrics = [metric for metric in METRICS.values() if metric.expected is None]
    return {
        f"{n}:{SUBSET_SEED}": held_out_values(
            reference, metrics, n, seed=SUBSET_SEED, device=device
        )
        for n in HELD_OUT_SIZES
        if n <= num_test
    }


def build_from(
    name: str,
    out: Path | None,
    *,
    extractor: str | None = None,
    data: str | None = None,
    train: Path | None = None,
    test: Path | None = None,
    data_root: Path | None = None,
    download: bool = False,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Path:
    """Build a bundle from a data set (default: the one called `name`) or from folders.

    `out` None is the user's own place for references, where names are looked up. The recorded
    command names what was given.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise UsageError(
            f"reference name {name!r}: letters, digits, dot, minus and underscore only"
        )
    extractor = extractor or DEFAULT_EXTRACTORS.get(data or name)
    if extractor is None:
        raise UsageError(
            f"which extractor? {name!r} has none of its own; give --extractor, one of: "
            f"{', '.join(EXTRACTORS)}"
        )
    if out is None and DEFAULT_EXTRACTORS.get(name) == extractor:
        raise UsageError(
            f"{name!r} for {extractor!r} is in the package and would be hidden; choose another "
            "name, or write it elsewhere with --out"
        )
    command = ["latentbench", "reference", "build", name, "--extractor", extractor]
    labels: dict[str, NDArray[np.int64]] = {}
    if train is not None:
        if data is not None:
            raise UsageError("give --data or --train, not both")
        train_images = _images(train, progress)
        test_images = None if test is None else _images(test, progress)
        command += ["--train", str(train)] + ([] if test is None else ["--test", str(test)])
    else:
        if test is not None:
            raise UsageError("--test needs --train")
        splits = {
            split: load_dataset(data or name, split, data_root=data_root, download=download)
            for split in ("train", "test")
        }
        train_images, test_images = splits["train"].images, splits["test"].images
        labels = {split: loaded.labels for split, loaded in splits.items()}
        command += ["--data", data or name]
    if out is not None:
        command += ["--out", str(out)]
    return build_reference(
        name,
        out if out is not None else user_data_dir() / "references",
        extractor=extractor,
        train=train_images,
        test=test_images,
        labels=labels,
        command=shlex.join(command),
        device=device,
        progress=progress,
    )


def _images(path: Path, progress: Progress | None) -> NDArray[np.uint8]:
    report = read_images(
        path,
        progress=None if progress is None else functools.partial(progress, f"read {path.name}"),
    )
    if report.images is None:
        raise InputError(f"{report.source}: no images")
    return report.images.images
