"""Make the arrays and the manifest of a bundle from features of real images.

`bench.references.bundle` describes a bundle and reads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.data.sources import DataSource
from bench.errors import InputError
from bench.extractors.base import ResolvedExtractor
from bench.intake import SetIdentity, Size
from bench.references.bundle import NUM_NEIGHBOURS
from bench.references.manifest import SCHEMA_VERSION, Manifest
from bench.runtime import provenance
from bench.statistics.moments import SUBSET_SEED, FeatureSample
from bench.statistics.neighbours.results import NearestNeighbours
from bench.statistics.neighbours.search import nearest_neighbours

MAX_HALF = 65_504.0  # largest float16


def _half(values: NDArray[np.float32], what: str) -> NDArray[np.float16]:
    largest = float(np.abs(values).max())
    if not largest <= MAX_HALF:
        raise InputError(f"{what} reach {largest:.3g}; they cannot be stored as float16")
    return values.astype(np.float16)


def _store_nearest(
    arrays: dict[str, NDArray[np.generic]], split: str, nearest: NearestNeighbours
) -> None:
    arrays[f"{split}_nearest_distances"] = nearest.distances.astype(np.float32)
    arrays[f"{split}_nearest_indices"] = nearest.indices.astype(np.int32)


def _class_counts(sample: FeatureSample) -> NDArray[np.int64] | None:
    if sample.classes is not None:
        return sample.classes.predicted_counts
    logits = sample.features.logits
    return None if logits is None else np.bincount(logits.argmax(axis=1), minlength=logits.shape[1])


def bundle_arrays(
    train: FeatureSample,
    test: FeatureSample | None,
    *,
    labels: Mapping[str, NDArray[np.int64]] | None = None,
    device: str = "cpu",
    half: bool = True,
) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a bundle for the samples of both splits and, if known, their labels.

    With `half`, features are stored as float16, and neighbours are computed from the stored
    features, so that a bundle is consistent in itself. Raises `InputError` for features that
    float16 cannot hold.
    """
    labels = labels or {}

    def store(values: NDArray[np.float32], what: str) -> NDArray[np.floating]:
        return _half(values, what) if half else values

    stored = store(train.features.values, "train features")
    subset = stored.astype(np.float32)
    arrays: dict[str, NDArray[np.generic]] = {
        "train_mean": train.moments.mean,
        "train_m2": train.moments.m2,
        "train_features": stored,
        "train_indices": train.rows.astype(np.int32),
    }
    if "train" in labels:
        arrays["train_labels"] = labels["train"][train.rows].astype(np.int32)
    counts = _class_counts(train)
    if counts is not None:
        arrays["train_class_counts"] = counts
    nearest = nearest_neighbours(subset, subset, NUM_NEIGHBOURS, exclude_self=True, device=device)
    _store_nearest(arrays, "train", nearest)
    if test is not None:
        test_stored = store(test.features.values, "test features")
        arrays["test_mean"], arrays["test_m2"] = test.moments.mean, test.moments.m2
        arrays["test_features"] = test_stored
        if test.features.logits is not None:
            arrays["test_logits"] = store(test.features.logits, "test logits")
        if "test" in labels:
            arrays["test_labels"] = labels["test"][test.rows].astype(np.int32)
        nearest = nearest_neighbours(
            test_stored.astype(np.float32), subset, NUM_NEIGHBOURS, device=device
        )
        _store_nearest(arrays, "test", nearest)
    return arrays


def bundle_manifest(
    name: str,
    extractor: ResolvedExtractor,
    identities: Mapping[str, SetIdentity],
    *,
    num_subset: int,
    resize: Size | None,
    command: str,
    arrays: bytes,
    sources: Mapping[str, DataSource] | None = None,
) -> Manifest:
    """Return the manifest of a bundle, without scores of held-out images.

    `identities` are those of the splits, `arrays` the bytes of the bundle; `command` rebuilds it.
    A reference in memory has no `sources`: where its images lie is no part of what it is.
    """
    train = identities["train"]
    return Manifest(
        schema_version=1 if sources is None else SCHEMA_VERSION,
        name=name,
        extractor=extractor.name,
        extractor_digest=extractor.digest,
        settings=dict(extractor.settings),
        height_px=train.height,
        width_px=train.width,
        channels=3 if train.channels == 3 else 1,
        num_train=train.num_images,
        num_test=identities["test"].num_images if "test" in identities else 0,
        num_subset=num_subset,
        subset_seed=SUBSET_SEED,
        data_digests={split: identity.pixel_digest for split, identity in identities.items()},
        resize=None if resize is None else f"{resize.width}x{resize.height}",
        code_version=provenance.version(),
        command=command,
        arrays_sha256=hashlib.sha256(arrays).hexdigest(),
        sources=dict(sources or {}),
    )
