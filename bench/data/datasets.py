"""Data sets as uint8 arrays: MNIST and Fashion-MNIST from local files, others through torchvision.

A name such as `torchvision:CIFAR10` is a class of `torchvision.datasets`, whose files have
torchvision's layout below the root. For `mnist` and `fashion-mnist` the files are looked for in the
root that is given (`--data-root`), else in the folder `LATENTBENCH_DATA`, else in the user's data
folder; then in the folder of Debian's package `dataset-fashion-mnist`. A root has torchvision's
layout (`ROOT/MNIST/raw/train-images-idx3-ubyte`, plain or .gz) or contains the four files itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, UnknownNameError, UsageError
from bench.intake.idx import read_idx
from bench.runtime.cache import home_folder

DEBIAN_ROOT = Path("/usr/share/datasets")
SPLITS = {"train": "train", "test": "t10k"}
TORCHVISION = "torchvision:"


class Dataset(NamedTuple):
    """One split: `images` uint8 N,H,W,C in the order of the file, `labels` int64 N."""

    name: str
    split: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


class _Source(NamedTuple):
    folder: str  # name of torchvision's class and folder
    debian: str | None  # folder in DEBIAN_ROOT
    sizes: dict[str, int]


DATASETS = {
    "mnist": _Source("MNIST", None, {"train": 60_000, "test": 10_000}),
    "fashion-mnist": _Source("FashionMNIST", "fashion-mnist", {"train": 60_000, "test": 10_000}),
}


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
    if name not in DATASETS:
        raise UnknownNameError("data set", name, [*DATASETS, f"{TORCHVISION}CLASS"])
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
