"""Scores of images by a named detector, for `anomaly_auc`.

A detector on features is fitted to the stored train features of the reference and scores its stored
test features. One on pixels needs the images themselves: those of the data set or folder that the
reference was built from, checked against the digests in its manifest. Both see the same fixed
subset of a large folder as the other metrics. Detectors on pixels see images above 64 px as
thumbnails of that size, and so do they those of the reference.

Shape legend: n images, H,W,C an image.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.anomaly.detectors import Detector, DetectorRow
from bench.anomaly.detectors.base import OnFeatures
from bench.anomaly.detectors.failures import WatchedSettings, checked_scores, failures_named
from bench.content.thumbnails import thumbnails
from bench.errors import BundleError, InputError, LatentbenchError, UsageError
from bench.extractors.base import luma
from bench.intake import ImageStream, SetIdentity, image_set_of, parse_size
from bench.metrics.base import DetectorScores
from bench.references.bundle import Reference
from bench.scoring.detector_choice import PUBLISHED
from bench.scoring.target import Target
from bench.statistics.moments import FeatureSample, subset_rows

U8 = NDArray[np.uint8]
PixelsAt = Callable[[NDArray[np.int64]], U8]  # images of a folder by sorted row


class FolderDetector:
    """A detector, fitted once to the train split of a target's reference."""

    def __init__(self, row: DetectorRow, target: Target, *, seed: int, device: str) -> None:
        self._row = row
        self._target = target
        options = {"budget": row.constants.get("budget", PUBLISHED)} if row.trains else {}
        self._settings = WatchedSettings(seed=seed, device=device, options=options)

    def scores(self, sample: FeatureSample, pixels: PixelsAt) -> DetectorScores | None:
        """Return the scores of the folder's images and of the held-out ones; None for a reference
        without held-out images.

        Raises `BundleError` when the pixels of the reference are needed and cannot be found, and
        `LatentbenchError` when the detector fails or returns anything but one finite score for
        each image.
        """
        reference = self._target.reference
        if reference.test is None:
            return None
        if self._row.reads == "features":
            found = self._of_features(sample.features.values)
        else:
            images = with_channels(pixels(sample.rows), reference.manifest.channels)
            found = self._of_pixels(images)
        return DetectorScores(self._row.name, found, self._held_out)

    @functools.cached_property
    def _on_features(self) -> OnFeatures:
        with failures_named(self._row.name):
            made = self._row.make(self._settings)
            if not isinstance(made, OnFeatures):
                raise UsageError(
                    f"detector {self._row.name!r} computes features from images itself; "
                    "latentbench anomaly takes it, score does not"
                )
            made.fit_features(self._target.reference.train)
        self._settings.require_read(self._row.name)
        return made

    @functools.cached_property
    def _on_pixels(self) -> Detector:
        normal = reference_pixels(self._target.reference, "train", self._row.name)
        with failures_named(self._row.name):
            made = self._row.make(self._settings)
            made.fit(normal)
        self._settings.require_read(self._row.name)
        return made

    @functools.cached_property
    def _held_out(self) -> NDArray[np.float64]:
        reference = self._target.reference
        if self._row.reads == "features":
            assert reference.test is not None  # noqa: S101  (checked before)
            return self._of_features(reference.test.values)
        return self._of_pixels(reference_pixels(reference, "test", self._row.name))

    def _of_features(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        made, name = self._on_features, self._row.name
        with failures_named(name):
            return checked_scores(name, made.scores_of_features(features), len(features))

    def _of_pixels(self, images: U8) -> NDArray[np.float64]:
        made, name = self._on_pixels, self._row.name
        with failures_named(name):
            return checked_scores(name, made.scores(images), len(images))


def with_channels(images: U8, channels: int) -> U8:
    """Return grey images as colour, or the luma of colour images, as extractors see them."""
    if images.shape[3] == channels:
        return images
    return luma(images) if channels == 1 else np.repeat(images, channels, axis=3)


def pixels_at(stream: ImageStream, rows: NDArray[np.int64]) -> tuple[U8, SetIdentity]:
    """Read a stream; return thumbnails of the images at `rows` (sorted), and what the whole set is.

    Raises as the stream does.
    """
    parts: list[U8] = []
    done = 0
    with stream:
        for block in stream:
            first, last = np.searchsorted(rows, (done, done + len(block)))
            parts.append(thumbnails(block[rows[first:last] - done]))
            done += len(block)
    stream.report.raise_if_invalid()
    identity = stream.report.identity
    if identity is None or sum(map(len, parts)) != len(rows):
        raise InputError(f"{stream.report.source}: the images changed while they were read")
    channels = max(part.shape[3] for part in parts)
    return np.concatenate([with_channels(part, channels) for part in parts]), identity


def reference_pixels(reference: Reference, split: str, detector_name: str) -> U8:
    """Return thumbnails of the images whose features are stored, uint8 n,H,W,C, of "train" or
    "test".

    They are read from the source of the reference. Raises `BundleError` when they are not there, or
    have changed.
    """
    manifest = reference.manifest
    num = manifest.num_train if split == "train" else manifest.num_test
    rows = subset_rows(num, manifest.num_subset, manifest.subset_seed)
    try:
        images, digest = _split_pixels(reference, split, rows)
    except (LatentbenchError, ImportError, OSError) as error:
        raise _not_found(reference, split, detector_name, str(error)) from error
    if digest != manifest.data_digests.get(split):
        raise _not_found(reference, split, detector_name, "those found have other pixels")
    return with_channels(images, manifest.channels)


def _split_pixels(reference: Reference, split: str, rows: NDArray[np.int64]) -> tuple[U8, str]:
    source = reference.sources.get(split)
    if source is None:
        raise InputError("the reference does not record their source")
    if source.path is not None:
        resize = reference.manifest.resize
        stream = ImageStream(
            Path(source.path),
            resize=None if resize is None else parse_size(resize),
            classes=True,
        )
        images, identity = pixels_at(stream, rows)
        return images, identity.pixel_digest
    every = source.images(split)
    if not len(rows) or rows[-1] >= len(every):
        raise InputError(f"{len(every):,} images, the reference has more")
    return thumbnails(every[rows]), image_set_of(every).pixel_digest


def _not_found(reference: Reference, split: str, detector_name: str, reason: str) -> BundleError:
    why = reason.split(". ", maxsplit=1)[0]
    return BundleError(
        f"detector {detector_name!r} sees pixels, and the {split} images of reference "
        f"{reference.name!r} cannot be used: {why}. Put the data where LATENTBENCH_DATA says "
        "(or where the reference was built from), or name a detector on features, such as "
        "mahalanobis-features"
    )
