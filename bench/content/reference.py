"""`ReferenceContent`: a summary of the pixels of real images, made by the same code as a folder's.

It describes the train images. The test images tell how often held-out real images pass for copies
of training images.

Shape legend: N train images, S statistics, D dimensions of a descriptor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bench.content.copies import CopyBase, CopyRates, TrainingPixels, find_copies
from bench.content.descriptors import packed, unpacked
from bench.content.facts import ContentFacts
from bench.content.nearest import NearIndex, near_groups, nearest_other
from bench.content.observer import MAX_DESCRIPTORS, content_facts
from bench.content.statistics import STATISTICS
from bench.errors import InputError
from bench.statistics.moments import subset_rows

PREFIX = "content_"
GROUP_IMAGES = 10_000  # real images that determine the radius of groups
GROUP_SHARE = 0.005  # share of that many real images with another one within the radius
MAX_GROUP_RADIUS = 0.07
QUANTILES = (0.01, 0.5, 0.99)


@dataclass(frozen=True)
class ReferenceContent:
    """A summary of N train images of a data set.

    `histogram` (int64 256) counts the values of all pixels and channels. `means` and `sds`
    (float64 S) and `quantiles` (float64 3,S; 1, 50, 99 %) describe the statistics of single images.
    `hashes` (uint64 N) identify the images, `descriptors_int8` (D,N') are their descriptors, of up
    to 200,000 images.

    Images within `group_radius` of each other are near duplicates. Among `group_images` real
    images, the share `group_share` has such a duplicate, and the largest group has `largest_group`
    members. `exact_pairs` is the share of pairs of train images that are equal, and `copy_rates`
    count the held-out images that pass for copies.
    """

    num_train: int
    height_px: int
    width_px: int
    channels: int
    histogram: NDArray[np.int64]
    means: NDArray[np.float64]
    sds: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    hashes: NDArray[np.uint64]
    descriptors_int8: NDArray[np.int8]
    group_radius: float
    group_images: int
    group_share: float
    largest_group: int
    exact_pairs: float
    copy_rates: CopyRates

    @cached_property
    def grey_shares(self) -> NDArray[np.float64]:
        """Share of the pixels by grey level, float64 256."""
        return np.asarray(self.histogram / self.histogram.sum())

    def standard_error(self, sd: float, num_images: int) -> float:
        """Return the standard error of the difference between the mean over a folder of
        `num_images` real images and the mean over the train images, for a quantity of standard
        deviation `sd`.
        """
        return float(sd * (1 / num_images + 1 / self.num_train) ** 0.5)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the whole summary."""
        digest = hashlib.sha256()
        for name, array in self.arrays().items():
            digest.update(name.encode() + array.tobytes())
        return digest.hexdigest()

    @cached_property
    def copy_base(self) -> CopyBase:
        """The train images among which originals of copies are searched."""
        return CopyBase(
            self.hashes,
            NearIndex(unpacked(self.descriptors_int8)),
            subset_rows(self.num_train, MAX_DESCRIPTORS),
        )

    def statistic(self, name: str) -> tuple[float, float]:
        """Return mean and standard deviation of one statistic over the train images, or NaN."""
        column = STATISTICS.index(name)
        return float(self.means[column]), float(self.sds[column])

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the whole summary as arrays, for an npz file; names begin with `content_`."""
        counts = [self.num_train, self.height_px, self.width_px, self.channels]
        groups = [self.group_radius, self.group_images, self.group_share, self.largest_group]
        arrays: dict[str, NDArray[np.generic]] = {
            "shape": np.array(counts, np.int64),
            "histogram": self.histogram,
            "means": self.means,
            "sds": self.sds,
            "quantiles": self.quantiles,
            "hashes": self.hashes,
            "descriptors": self.descriptors_int8,
            "groups": np.array([*groups, self.exact_pairs], np.float64),
            "copy_rates": np.array(self.copy_rates, np.int64),
        }
        return {f"{PREFIX}{name}": array for name, array in arrays.items()}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Return the summary that `arrays` gave. Other names are ignored. Raises `InputError`."""
        try:
            found = {
                name: np.asarray(arrays[f"{PREFIX}{name}"], dtype)
                for name, dtype in _ARRAYS.items()
            }
            num_train, height, width, channels = found["shape"].tolist()
            radius, images, share, largest, exact_pairs = found["groups"].tolist()
            rates = CopyRates(*found["copy_rates"].tolist())
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"the content of a reference cannot be read: {error}") from error
        content = cls(
            num_train=num_train,
            height_px=height,
            width_px=width,
            channels=channels,
            histogram=found["histogram"],
            means=found["means"],
            sds=found["sds"],
            quantiles=found["quantiles"],
            hashes=found["hashes"],
            descriptors_int8=found["descriptors"],
            group_radius=radius,
            group_images=int(images),
            group_share=share,
            largest_group=int(largest),
            exact_pairs=exact_pairs,
            copy_rates=rates,
        )
        if (
            content.histogram.shape != (256,)
            or content.means.shape != (len(STATISTICS),)
            or content.hashes.shape != (num_train,)
            or content.descriptors_int8.shape[1] != min(num_train, MAX_DESCRIPTORS)
        ):
            raise InputError("the content of a reference cannot be read: shapes do not fit")
        return content


_ARRAYS: dict[str, type[np.generic]] = {
    "shape": np.int64,
    "histogram": np.int64,
    "means": np.float64,
    "sds": np.float64,
    "quantiles": np.float64,
    "hashes": np.uint64,
    "descriptors": np.int8,
    "groups": np.float64,
    "copy_rates": np.int64,
}


def reference_content(
    train_images: NDArray[np.uint8], test_images: NDArray[np.uint8] | None = None
) -> ReferenceContent:
    """Return the summary of real images in memory, uint8 N,H,W,C. Raises `InputError`.

    >>> images = np.random.default_rng(0).integers(0, 256, (20, 28, 28, 1), np.uint8)
    >>> reference_content(images[:15], images[15:]).copy_rates.num_checked
    5
    """
    return reference_content_of(
        content_facts(train_images),
        None if test_images is None else content_facts(test_images),
        training_pixels=lambda rows: train_images[rows],
    )


def reference_content_of(
    train: ContentFacts,
    test: ContentFacts | None = None,
    *,
    training_pixels: TrainingPixels | None = None,
) -> ReferenceContent:
    """Return the summary of real images from the facts about both splits.

    `training_pixels` returns train images by row. With it, copies among the test images are
    counted by comparing pixels, without it by comparing descriptors alone.
    """
    radius, images, share, largest = _groups(train)
    counts = np.unique(train.hashes, return_counts=True)[1].astype(np.float64)
    num_pairs = train.num_images * (train.num_images - 1) / 2
    values = train.statistics.astype(np.float64)
    content = ReferenceContent(
        num_train=train.num_images,
        height_px=train.height_px,
        width_px=train.width_px,
        channels=train.channels,
        histogram=train.histogram,
        means=_over(values, np.mean),
        sds=_over(values, np.std),
        quantiles=_over(values, lambda x: np.quantile(x, QUANTILES)).T,
        hashes=train.hashes,
        descriptors_int8=packed(train.descriptors.astype(np.float32)),
        group_radius=radius,
        group_images=images,
        group_share=share,
        largest_group=largest,
        exact_pairs=float((counts * (counts - 1) / 2).sum() / max(num_pairs, 1)),
        copy_rates=CopyRates(0, 0, 0, 0, 0),
    )
    same_size = test is not None and (test.height_px, test.width_px) == (
        train.height_px,
        train.width_px,
    )
    if test is None or not same_size:
        return content
    return replace(content, copy_rates=_copy_rates(test, content.copy_base, training_pixels))


def _over(
    values_MS: NDArray[np.float64], reduce: Callable[[NDArray[np.float64]], object]
) -> NDArray[np.float64]:
    """Return `reduce` of the finite values of each column, NaN for a column without any."""
    columns = [column[np.isfinite(column)] for column in values_MS.T]
    nothing = np.full_like(np.asarray(reduce(np.zeros(1)), np.float64), np.nan)
    return np.array([reduce(column) if len(column) else nothing for column in columns], np.float64)


def _groups(train: ContentFacts) -> tuple[float, int, float, int]:
    """Return the radius of groups, the number of images that determine it, the share of them in
    groups, and the size of the largest group.
    """
    rows = subset_rows(len(train.descriptors), GROUP_IMAGES)
    d = train.descriptors[rows].astype(np.float32)
    distances = np.sort(nearest_other(d))
    distances = distances[distances > 0]  # neither equal images nor those without contrast
    num_within = GROUP_SHARE * len(distances) * len(distances) / GROUP_IMAGES
    if not len(distances):
        return 0.0, len(rows), 0.0, 1
    # few images should have no near pair at all; the radius then stays below the nearest distance
    radius = 0.8 * distances[0] if num_within < 1 else distances[int(num_within)]
    radius = float(min(radius, MAX_GROUP_RADIUS))
    sizes = near_groups(d, radius).sizes
    return radius, len(rows), float(sizes.sum() / len(rows)), int(max([1, *sizes.tolist()]))


def _copy_rates(
    test: ContentFacts, base: CopyBase, training_pixels: TrainingPixels | None
) -> CopyRates:
    seen = find_copies(test, base, training_pixels)
    unseen = find_copies(test, base, None)
    near = len(seen.rows) if seen.verified else len(unseen.rows)
    return CopyRates(test.num_images, seen.num_equal, seen.num_close, near, len(unseen.rows))
