"""Load the data that spaces are measured on, by name or by path.

A name is a data set of `bench.data.datasets`, with its train and test split. A path is a folder,
zip, npz or npy of images; a folder for each class gives labels, and a fifth of the images, drawn
from the seed, is held out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.datasets import VALID_NAMES, is_dataset_name, load_dataset
from bench.data.factors import CLASSES, FACTOR_NAMES
from bench.errors import InputError, UnknownNameError
from bench.intake import parse_size, read_images, sanitise, split_array_name
from bench.intake.arrays import resize_array
from bench.latent.data import LabelledImages, LatentData

HELD_OUT = 0.2


def load_latent_data(
    source: str,
    *,
    num_images: int = 10_000,
    seed: int = 0,
    data_root: Path | None = None,
    download: bool = False,
    resize: str | None = None,
    extractor: str | None = None,
    device: str = "cpu",
) -> LatentData:
    """Return up to `num_images` training and held-out images each.

    Raises `UnknownNameError` for a name that is neither a data set nor a path, `InvalidSubmission`
    for files that are not images of one size, and what `load_dataset` raises.
    """
    if is_dataset_name(source):

        def split(name: str) -> LabelledImages:
            found = load_dataset(source, name, data_root=data_root, download=download)
            images = found.images if resize is None else _resized(found.images, resize)
            return LabelledImages(images, found.labels, found.levels).first(num_images, seed)

        train, test = split("train"), split("test")
        drawn = train.factors is not None
        return LatentData(
            source,
            train,
            test,
            factor_names=FACTOR_NAMES if drawn else (),
            class_names=CLASSES if drawn else (),
            extractor=extractor,
            device=device,
        )
    if not split_array_name(source)[0].exists():
        raise UnknownNameError("data set", source, [*VALID_NAMES, "a folder, zip, npz or npy"])
    report = read_images(
        source, resize=None if resize is None else parse_size(resize), classes=True
    )
    if report.images is None or len(report.images.images) < 2:
        raise InputError(f"{source}: at least two images are needed, to hold one out")
    every = LabelledImages(report.images.images, report.labels)
    order = np.random.default_rng(seed).permutation(len(every.images))
    num_held_out = max(1, round(HELD_OUT * len(order)))
    test, train = every.at(np.sort(order[:num_held_out])), every.at(np.sort(order[num_held_out:]))
    return LatentData(
        sanitise(source),
        train.first(num_images, seed),
        test.first(num_images, seed),
        extractor=extractor,
        device=device,
    )


def _resized(images: NDArray[np.uint8], resize: str) -> NDArray[np.uint8]:
    size = parse_size(resize)
    return images if images.shape[1:3] == size else resize_array(images, size)
