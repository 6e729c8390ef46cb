"""Real images for the studies of `inception`: digits, clothes and crops of photographs.

The photographs are the two that scikit-learn ships (427 x 640 px, Creative Commons).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.datasets import load_dataset

ImageSets = dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]
PHOTO_SIZES = ((32, 32), (64, 48), (299, 299), (384, 512))  # height, width in px


def photo_crops(num: int, height_px: int, width_px: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return random crops of the two photographs in turn, uint8 of shape N,H,W,3.

    Crops higher than the photographs are taken from the photographs turned by 90 degrees.
    """
    from sklearn.datasets import load_sample_images  # type: ignore[import-untyped]  # slow

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


def image_sets(
    num: int, data_root: Path | None, *, photo_sizes: int = len(PHOTO_SIZES)
) -> ImageSets:
    """Return two disjoint sets of `num` real images for each kind of image, by name."""
    sets: ImageSets = {}
    for name in ("mnist", "fashion-mnist"):
        root = data_root if name == "mnist" else None
        images = load_dataset(name, "test", data_root=root).images
        sets[f"{name}, 28x28 grey"] = (images[:num], images[num : 2 * num])
    for height, width in PHOTO_SIZES[:photo_sizes]:
        crops = photo_crops(2 * num, height, width, seed=0)
        sets[f"photographs, {width}x{height}"] = (crops[:num], crops[num:])
    return sets
