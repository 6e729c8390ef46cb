"""Data sets as uint8 arrays: MNIST and Fashion-MNIST from local files, others through torchvision,
and `factors`, which is drawn.

A name such as `torchvision:CIFAR10` is a class of `torchvision.datasets`, whose files have
torchvision's layout below the root. For `mnist` and `fashion-mnist` the files are looked for in the
root that is given (`--data-root`), else in the folder `LATENTBENCH_DATA`, else in the user's data
folder; then in the folder of Debian's package `dataset-fashion-mnist`. A root has torchvision's
layout (`ROOT/MNIST/raw/train-images-idx3-ubyte`, plain or .gz) or contains the four files itself.

`factors` (`bench.data.factors`) needs no files. `factors:5000` has 5,000 train images instead of
60,000, and `factors:5000:7` draws them from seed 7 instead of 0. Its test split has 10,000 images,
none of which is a train image.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.factors import NUM_COMBINATIONS, draw_factors, draw_levels
from bench.errors import InputError, UnknownNameError, UsageError
from bench.intake.idx import read_idx
from bench.runtime.cache import home_folder

DEBIAN_ROOT = Path("/usr/share/datasets")
SPLITS = {"train": "train", "test": "t10k"}
TORCHVISION = "torchvision:"
FACTORS = "factors"
FACTOR_SIZES = {"train": 60_000, "test": 10_000}


class Dataset(NamedTuple):
    """One split: `images` uint8 N,H,W,C in the order of the file, `labels` int64 N. The generated
    data have `levels` int64 N,F as well, in the order of `bench.data.factors.FACTORS`.
    """

    name: str
    split: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    levels: NDArray[np.int64] | None = None


class _Source(NamedTuple):
    folder: str  # name of torchvision's class and folder
    debian: str | None  # folder in DEBIAN_ROOT
    sizes: dict[str, int]


DATASETS = {
    "mnist": _Source("MNIST", None, {"train": 60_000, "test": 10_000}),
    "fashion-mnist": _Source("FashionMNIST", "fashion-mnist", {"train": 60_000, "test": 10_000}),
}


VALID_NAMES = (*DATASETS, FACTORS, f"{FACTORS}:NUMBER:SEED", f"{TORCHVISION}CLASS")


def is_dataset_name(name: str) -> bool:
    """Return whether `load_dataset` takes the name; anything else may be a path.

    >>> [is_dataset_name(name) for name in ("mnist", "factors:500", "torchvision:KMNIST", "mnist/")]
    [True, True, True, False]
    """
    drawn = name.partition(":")[0] == FACTORS
    return drawn or name in DATASETS or name.startswith(TORCHVISION)


def user_data_dir() -> Path:
    """Return the folder of downloads: `LATENTBENCH_DATA`, or `latentbench` in the XDG data folder.

    Raises `UsageError` for an account without a home folder.
    """
    if configured := os.environ.get("LATENTBENCH_DATA"):
        return Path(configured)
    if base := os.environ.get("XDG_DATA_HOME"):
        return Path(base) / "latentbench"
    return home_folder("LATENTBENCH_DATA") / ".local" / "share" / "latentbench"


def _folders(source: _Source, data_root: Path | None) -> Iterator[Path]:
    roots = [data_root] if data_root is not None else [user_data_dir()]
    for root in roots:
        yield root / source.folder / "raw"
        yield root
    if source.debian is not None:
        yield DEBIAN_ROOT / source.debian


def _find(folders: list[Path], stem: str) -> Path | None:
    for folder in folders:
        for name in (stem, f"{stem}.gz"):
            if (folder / name).is_file():
                return folder / name
    return None


def load_dataset(
    name: str, split: str, *, data_root: Path | None = None, download: bool = False
) -> Dataset:
    """Return the images and labels of one split ("train" or "test").

    With `download`, torchvision first downloads a data set that is not found into `data_root`, or
    into the user's data folder. Raises `UnknownNameError`, `UsageError` if the files are not found
    (the message lists the folders), and `InputError` if they are damaged or do not fit.
    """
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    if name.startswith(TORCHVISION):
        return _load_torchvision(name, split, data_root or user_data_dir(), download=download)
    if name.partition(":")[0] == FACTORS:
        return _drawn(name, split)
    if name not in DATASETS:
        raise UnknownNameError("data set", name, VALID_NAMES)
    source = DATASETS[name]
    folders = list(_folders(source, data_root))
    stems = [f"{SPLITS[split]}-{part}" for part in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    paths = [_find(folders, stem) for stem in stems]
    if None in paths and download:
        _download(source, data_root or user_data_dir())
        paths = [_find(folders, stem) for stem in stems]
    images_path, labels_path = paths
    if images_path is None or labels_path is None:
        searched = ", ".join(str(folder) for folder in folders)
        raise UsageError(
            f"data set {name!r}: {stems[0]}[.gz] and {stems[1]}[.gz] not found in {searched}. "
            "Give their root with --data-root or LATENTBENCH_DATA, or download them with "
            "--download (of train, ablate, ladder and reference build)."
        )
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise InputError(
            f"{images_path} has shape {images.shape} and {labels_path} has shape {labels.shape}; "
            "expected N,H,W images and N labels"
        )
    if len(images) != source.sizes[split]:
        raise InputError(
            f"{images_path}: {len(images)} images; the {split} split has {source.sizes[split]}"
        )
    return Dataset(name, split, images[..., None], labels.astype(np.int64))


def _drawn(name: str, split: str) -> Dataset:
    numbers = name.split(":")[1:]
    if len(numbers) > 2 or not all(text.isascii() and text.isdecimal() for text in numbers):
        raise UsageError(
            f"data set {name!r}: expected {FACTORS}, {FACTORS}:NUMBER or {FACTORS}:NUMBER:SEED, "
            f"such as {FACTORS}:5000:1"
        )
    num, seed = [*map(int, numbers), *(FACTOR_SIZES["train"], 0)[len(numbers) :]]
    most = NUM_COMBINATIONS - FACTOR_SIZES["test"]
    if not 1 <= num <= most:
        raise UsageError(f"data set {name!r}: it has 1 to {most} train images")
    test = split == "test"
    levels = draw_levels(FACTOR_SIZES["test"] if test else num, seed=seed, from_end=test)
    return Dataset(name, split, draw_factors(levels), levels[:, 0].copy(), levels)


def _download(source: _Source, root: Path) -> None:
    from torchvision import datasets  # noqa: PLC0415  (slow to import)

    try:
        getattr(datasets, source.folder)(root=str(root), download=True)
    except Exception as error:
        raise UsageError(
            f"{source.folder} could not be downloaded into {root}: {error}. "
            "Copy the four idx files to a folder and give that folder with --data-root."
        ) from error


def _load_torchvision(name: str, split: str, root: Path, *, download: bool) -> Dataset:
    """Load a class of `torchvision.datasets` that has an argument `train`, `data` and `targets`."""
    from torchvision import datasets  # noqa: PLC0415  (slow to import)

    class_name = name.removeprefix(TORCHVISION)
    if class_name not in datasets.__all__:
        raise UnknownNameError("torchvision data set", class_name, datasets.__all__)
    try:
        data = getattr(datasets, class_name)(
            root=str(root), train=split == "train", download=download
        )
        images = np.asarray(data.data)
        labels = np.asarray(data.targets, np.int64)
    except (TypeError, AttributeError) as error:
        raise UsageError(
            f"data set {name!r} has no train and test arrays in memory; "
            "write its images into two folders and give these instead"
        ) from error
    except Exception as error:
        raise UsageError(
            f"data set {name!r} could not be loaded from {root}: {error}. "
            "Give its root with --data-root, or download it with --download."
        ) from error
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise InputError(f"{name}: images are {images.dtype} {images.shape}, not uint8 N,H,W,C")
    return Dataset(name, split, images, labels)
