"""A reference: what is known of a data set's real images, for one extractor.

A bundle is two files: `NAME-EXTRACTOR.npz`, plain arrays without pickle, and
`NAME-EXTRACTOR.json`, a manifest with the SHA-256 of the arrays, the digests of data, extractor
and code, and the command that rebuilds it.

The moments cover each whole split (float64). Features are kept for a fixed random subset of the
train split and for the test split, as float16: half precision moves a feature by at most 5e-4 of
its size, and the moments are taken before rounding.

Shape legend: N images, D features, K classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.content import ReferenceContent, TrainingPixels, training_pixels
from bench.data.sources import DataSource
from bench.errors import BundleError, InputError, reason_of
from bench.extractors.base import ResolvedExtractor
from bench.intake import parse_size
from bench.references.manifest import Manifest, read_manifest
from bench.runtime.failures import failure_line
from bench.runtime.npz import arrays_from_bytes
from bench.statistics.moments import Features, Moments
from bench.statistics.neighbours.results import NearestNeighbours

NUM_NEIGHBOURS = 5

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What is stored of the real images. A statistics file has moments only: `train` is empty."""

    train_moments: Moments  # of the whole train split
    train: NDArray[np.float32]  # features of the fixed train subset, N,D
    train_nearest: NearestNeighbours  # of the train subset in itself
    train_class_counts: NDArray[np.int64] | None  # predicted classes of the train split, K
    test: Features | None = None  # of the test split; None without one
    test_nearest: NearestNeighbours | None = None  # of the test split in the train subset
    test_moments: Moments | None = None  # of the whole test split; None in an older bundle
    content: ReferenceContent | None = None  # what the pixels are like; None in an older bundle


class Origin(NamedTuple):
    """Where the moments in a statistics file come from."""

    words: str  # for the record
    is_known: bool  # whether the file states the extractor that made it


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """The real images that submissions are compared with.

    The manifest is known at once. `read` returns the statistics; it is called once, when they are
    first needed, so that a score from the cache does without them.
    """

    manifest: Manifest
    read: Callable[[], Statistics]
    sources: Mapping[str, DataSource] = field(default_factory=dict)  # split -> its images
    origin: Origin | None = None  # of a statistics file

    @property
    def is_counted(self) -> bool:
        """Whether the number of real images is known; a statistics file may not state it."""
        return self.manifest.num_train > 0

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, which holds that of the arrays."""
        return self.manifest.digest

    @cached_property
    def statistics(self) -> Statistics:
        """What is stored of the images. Raises `BundleError` when the arrays are damaged."""
        return self.read()

    @property
    def train_moments(self) -> Moments:
        return self.statistics.train_moments

    @property
    def train(self) -> NDArray[np.float32]:
        """Features of the fixed train subset, N,D."""
        return self.statistics.train

    @property
    def train_nearest(self) -> NearestNeighbours:
        return self.statistics.train_nearest

    @property
    def test(self) -> Features | None:
        """Features of the test split; None for a reference without held-out images."""
        return self.statistics.test

    @property
    def test_nearest(self) -> NearestNeighbours | None:
        return self.statistics.test_nearest

    @property
    def test_moments(self) -> Moments | None:
        return self.statistics.test_moments

    @property
    def content(self) -> ReferenceContent | None:
        """What the pixels are like; None in a bundle that was built before this was stored."""
        return self.statistics.content

    @cached_property
    def training_pixels(self) -> TrainingPixels | None:
        """Train images by row, read again from their source; None when that is not recorded."""
        source = self.sources.get("train")
        if self.content is None or source is None:
            return None
        resize = self.manifest.resize
        return training_pixels(
            source, self.content.hashes, resize=None if resize is None else parse_size(resize)
        )

    @property
    def class_shares(self) -> NDArray[np.float64] | None:
        """Share of each predicted class in the train split, K."""
        if self.statistics.train_class_counts is None:
            return None
        counts = self.statistics.train_class_counts.astype(np.float64)
        return np.asarray(counts / counts.sum())


def open_reference(file: Traversable) -> Reference:
    """Return the reference of a manifest; its arrays are read and checked when first used.

    Raises `BundleError` when the manifest cannot be read or the arrays are missing.
    """
    manifest = read_manifest(file)
    arrays = _arrays_file(file)
    if not arrays.is_file():
        raise BundleError(f"{arrays}: the arrays of {file.name} are missing")
    return Reference(
        manifest=manifest, read=lambda: _statistics(file, manifest), sources=manifest.sources
    )


def load_reference(file: Traversable) -> Reference:
    """Return the reference of a manifest, read and checked: digest, arrays, shapes, finite values.

    Raises `BundleError`.

    >>> from bench.references.lookup import find_manifest
    >>> load_reference(find_manifest("mnist")).train.shape
    (10000, 128)
    """
    reference = open_reference(file)
    _ = reference.statistics
    return reference


def verify(file: Traversable) -> tuple[Manifest, bytes]:
    """Return the manifest and the bytes of the arrays. Raises `BundleError` when their digest is
    not that of the manifest.
    """
    manifest = read_manifest(file)
    return manifest, _checked_bytes(file, manifest)


def _arrays_file(file: Traversable) -> Traversable:
    name = file.name.removesuffix(".json") + ".npz"
    return (
        file.with_name(name)
        if isinstance(file, Path)
        else resources.files("reference_stats") / name
    )


def _checked_bytes(file: Traversable, manifest: Manifest) -> bytes:
    arrays = _arrays_file(file)
    try:
        data = arrays.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{arrays}: the arrays of {file.name} are missing: {reason_of(error)}"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != manifest.arrays_sha256:
        raise BundleError(
            f"{arrays}: damaged or changed: SHA-256 {found}, the manifest says "
            f"{manifest.arrays_sha256}. Rebuild it: {manifest.command}"
        )
    return data


def _statistics(file: Traversable, manifest: Manifest) -> Statistics:
    data = _checked_bytes(file, manifest)
    try:
        return statistics_of(manifest, arrays_from_bytes(data, file.name))
    except KeyError as error:
        raise BundleError(f"{file}: the bundle lacks the array {error}") from error
    except InputError as error:
        raise BundleError(f"{file}: {error}") from error


def statistics_of(manifest: Manifest, arrays: Arrays) -> Statistics:
    """Return the statistics in the arrays of a bundle. Raises `KeyError` for a missing array and
    `InputError`, naming the array, for values that are not finite numbers or shapes that do not
    fit.
    """
    train = _rows(arrays, "train_features", manifest.num_subset)
    moments = _moments(arrays, "train", manifest.num_train)
    _require_fit(train, moments)
    test = test_nearest = test_moments = None
    if manifest.num_test:
        values = _rows(arrays, "test_features", None)
        logits = _rows(arrays, "test_logits", len(values)) if "test_logits" in arrays else None
        test = Features(values, logits)
        test_nearest = _nearest(arrays, "test", len(values), len(train))
        if "test_m2" in arrays:
            test_moments = _moments(arrays, "test", manifest.num_test)
            _require_fit(test.values, test_moments)
    return Statistics(
        train_moments=moments,
        train=train,
        train_nearest=_nearest(arrays, "train", len(train), len(train)),
        train_class_counts=_class_counts(arrays),
        test=test,
        test_nearest=test_nearest,
        test_moments=test_moments,
        content=_content(arrays),
    )


def _numbers(
    arrays: Arrays, key: str, kinds: str, shape: Sequence[int | None]
) -> NDArray[np.generic]:
    """Return an array of finite numbers of one of the `kinds` of dtype ("f", "i", "u"), and of a
    `shape` in which None stands for any size.
    """
    array = arrays[key]
    if array.dtype.kind not in kinds:
        raise InputError(f"array {key!r} has dtype {array.dtype}, expected numbers")
    fits = array.ndim == len(shape) and all(
        size in (None, found) for size, found in zip(shape, array.shape, strict=True)
    )
    if not fits:
        expected = ",".join("N" if size is None else str(size) for size in shape)
        raise InputError(f"array {key!r} has shape {array.shape}, expected {expected}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"array {key!r} holds NaN or infinite values")
    return array


def _rows(arrays: Arrays, key: str, num_rows: int | None) -> NDArray[np.float32]:
    return np.asarray(_numbers(arrays, key, "f", (num_rows, None)), np.float32)


def _moments(arrays: Arrays, split: str, n: int) -> Moments:
    mean = np.asarray(_numbers(arrays, f"{split}_mean", "f", (None,)), np.float64)
    m2 = np.asarray(_numbers(arrays, f"{split}_m2", "f", (None, None)), np.float64)
    return Moments(n, mean, m2)


def _require_fit(features: NDArray[np.float32], moments: Moments) -> None:
    mean, m2 = moments.mean, moments.m2
    if features.shape[1:] != mean.shape or m2.shape != (*mean.shape, *mean.shape):
        raise InputError(
            f"features {features.shape}, mean {mean.shape} and M2 {m2.shape} do not fit"
        )


def _nearest(arrays: Arrays, split: str, num_rows: int, num_base: int) -> NearestNeighbours:
    distances = _numbers(arrays, f"{split}_nearest_distances", "f", (num_rows, None))
    key = f"{split}_nearest_indices"
    indices = _numbers(arrays, key, "iu", distances.shape)
    if indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < num_base:
        raise InputError(f"array {key!r} names rows outside 0 to {num_base - 1}")
    return NearestNeighbours(np.asarray(distances, np.float32), np.asarray(indices, np.int64))


def _class_counts(arrays: Arrays) -> NDArray[np.int64] | None:
    key = "train_class_counts"
    if key not in arrays:
        return None
    counts = np.asarray(_numbers(arrays, key, "iu", (None,)), np.int64)
    if not len(counts) or counts.min() < 0 or counts.sum() == 0:
        raise InputError(f"array {key!r} holds no counts of classes")
    return counts


def _content(arrays: Arrays) -> ReferenceContent | None:
    if "content_shape" not in arrays:
        return None
    for key, array in arrays.items():
        if key.startswith("content_"):
            _numbers(arrays, key, "fiu", array.shape)
    try:
        return ReferenceContent.of(arrays)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise InputError(f"the arrays named content_* do not fit: {failure_line(error)}") from error


def require_same_extractor(manifest: Manifest, extractor: ResolvedExtractor) -> None:
    """Raise `BundleError` unless the bundle was built with these weights, layer and protocol."""
    if manifest.extractor_digest != extractor.digest:
        raise BundleError(
            f"reference {manifest.name!r} was built with {manifest.extractor!r} weights of "
            f"SHA-256 {manifest.extractor_digest[:12]}, but the extractor in use has "
            f"{extractor.digest[:12]}: their features cannot be compared. "
            f"Rebuild it: {manifest.command}"
        )
    for kind, value in extractor.settings.items():
        built = manifest.settings.get(kind)
        if built != value and kind != "precision":
            raise BundleError(
                f"reference {manifest.name!r} was built for {kind} {built!r}, not {value!r}: their "
                f"features cannot be compared. Leave --{kind} out, or build another reference."
            )
