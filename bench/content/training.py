"""Training images of a reference by row, if they are on this machine; nothing is downloaded.

Shape legend: n images, H W pixels, C channels.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.content.copies import TrainingPixels
from bench.content.observer import image_hashes
from bench.content.thumbnails import thumbnails
from bench.data.sources import DataSource
from bench.errors import LatentbenchError
from bench.intake import ImageStream, Size

U8 = NDArray[np.uint8]


def training_pixels(
    source: DataSource, hashes: NDArray[np.uint64], *, resize: Size | None = None
) -> TrainingPixels:
    """Return a function from rows to training images, uint8 n,H,W,C.

    Images from a path come as thumbnails. `hashes` are those that the reference holds. The function
    returns None if the images are not on this machine or do not have these hashes.
    """
    if source.path is not None:
        return functools.partial(_of_path, Path(source.path), hashes, resize)
    images = functools.cache(functools.partial(_dataset, source))
    return lambda rows: _checked(images(), rows, hashes)


def _dataset(source: DataSource) -> U8 | None:
    try:
        return source.images("train")
    except (LatentbenchError, ImportError):
        return None


def _checked(images: U8 | None, rows: NDArray[np.int64], hashes: NDArray[np.uint64]) -> U8 | None:
    if images is None or len(images) != len(hashes):
        return None
    found = images[rows]
    same = not len(rows) or np.array_equal(image_hashes(found), hashes[rows])
    return found if same else None


def _of_path(
    path: Path, hashes: NDArray[np.uint64], resize: Size | None, rows: NDArray[np.int64]
) -> U8 | None:
    """Read a folder or file and return thumbnails of the images at `rows` (sorted)."""
    parts: list[U8] = []
    done = 0
    try:
        with ImageStream(path, resize=resize, classes=True) as stream:
            for block in stream:
                first, last = np.searchsorted(rows, (done, done + len(block)))
                images = block[rows[first:last] - done]
                if len(images):
                    if not np.array_equal(image_hashes(images), hashes[rows[first:last]]):
                        return None
                    parts.append(thumbnails(images))
                done += len(block)
    except (LatentbenchError, OSError):
        return None
    if done != len(hashes) or not parts:
        return None
    channels = max(part.shape[3] for part in parts)
    return np.concatenate([np.broadcast_to(p, (*p.shape[:3], channels)) for p in parts])
