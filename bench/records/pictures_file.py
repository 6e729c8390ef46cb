"""Exhibits: the pictures and curves of a submission that a report page shows.

A record holds numbers, and the images may have been deleted when a page is made. So scoring also
stores what a page needs, as arrays in an npz file next to the record, without pickle. Every array
is optional. Images are uint8 n,H,W,C, shrunk to at most 64 px a side.

Shape legend: n images shown, H rows, W columns, C channels (or components), P points.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, reason_of
from bench.runtime.npz import arrays_from_bytes, arrays_to_bytes
from bench.runtime.whole_files import write_atomically

MAX_SIDE_PX = 64

# Meaning by name; other names are refused.
EXHIBITS: dict[str, str] = {
    "sample_images": "a fixed random choice of the images",
    "best_images": "the images of highest realism, best first",
    "best_realism": "float32 n, their realism",
    "worst_images": "the images of lowest realism, worst first",
    "worst_realism": "float32 n, their realism",
    "neighbour_images": "images of the folder that are shown with their nearest training images",
    "neighbour_training_images": "the nearest training image of each, in feature space",
    "neighbour_distances": "float32 n, the distances in feature space",
    "copy_images": "images that are copies of training images",
    "copy_training_images": "the training images that they are copies of",
    "copy_distances": "float32 n, root mean square differences in grey levels",
    "duplicate_images": "images of the largest group of near duplicates",
    "duplicate_sizes": "int64, sizes of the groups of near duplicates, largest first",
    "grey_histogram": "float64 256, share of pixels by grey level",
    "reference_grey_histogram": "float64 256, the same for the reference's train split",
    "class_shares": "float64 K, share of images by predicted class",
    "reference_class_shares": "float64 K, the same for the reference's train split",
    "pca_fake": "float32 P,C, images of the folder in the leading principal components of real",
    "pca_real": "float32 P,C, the same for real images; a page computes t-SNE from both",
    "roc_false_positives": "float64 P, share of held-out real images above a threshold",
    "roc_true_positives": "float64 P, share of the folder's images above it",
    "prd_precision": "float64 P, precision of the PRD curve by angle",
    "prd_recall": "float64 P, its recall",
}


def write_exhibits(exhibits: Mapping[str, NDArray[np.generic]], path: Path) -> None:
    """Write exhibits as one npz file, whole or not at all.

    Raises `ValueError` for a name that is not in `EXHIBITS`.
    """
    unknown = set(exhibits) - set(EXHIBITS)
    if unknown:
        raise ValueError(f"unknown exhibits: {', '.join(sorted(unknown))}")
    write_atomically(path, arrays_to_bytes(exhibits, compress=True))


def read_exhibits(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the exhibits in a file, by name. Raises `InputError` if it holds something else."""
    try:
        arrays = arrays_from_bytes(path.read_bytes(), path.name)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason_of(error)}") from error
    unknown = set(arrays) - set(EXHIBITS)
    if unknown:
        names = ", ".join(sorted(unknown)[:5])
        raise InputError(f"{path}: not the exhibits of a submission: unknown names {names}")
    return arrays
