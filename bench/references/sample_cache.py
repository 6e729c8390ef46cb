"""Samples of features in the cache, by the digest of everything that they depend on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.extractors.base import ResolvedExtractor
from bench.references.feature_extraction import Extraction
from bench.runtime.cache import Cache, cache_key
from bench.runtime.code_digest import code_digest
from bench.runtime.npz import arrays_from_bytes, arrays_to_bytes
from bench.runtime.provenance import library_versions
from bench.statistics.moments import SUBSET_SEED, ClassStatistics, Features, FeatureSample, Moments

KIND = "features"


def cached_sample(cache: Cache, key: str) -> FeatureSample | None:
    """Return the sample under `key`, None when there is none."""
    cached = cache.get(KIND, key)
    if cached is None:
        return None
    arrays = arrays_from_bytes(cached, f"cache entry {key}")
    logits = arrays.get("logits")
    features = Features(
        np.asarray(arrays["values"], np.float32),
        None if logits is None else np.asarray(logits, np.float32),
    )
    moments = classes = None
    if "mean" in arrays:
        moments = Moments(
            int(arrays["n"]),
            np.asarray(arrays["mean"], np.float64),
            np.asarray(arrays["m2"], np.float64),
        )
    if "split_counts" in arrays:
        classes = ClassStatistics(
            np.asarray(arrays["split_counts"], np.int64),
            np.asarray(arrays["probability_sums"], np.float64),
            np.asarray(arrays["entropy_sums"], np.float64),
            np.asarray(arrays["predicted_counts"], np.int64),
            float(arrays["confidence"]),
        )
    rows = np.asarray(arrays["rows"], np.int64)
    repeated, keys = arrays.get("repeated"), arrays.get("keys")
    return FeatureSample(
        features,
        rows,
        classes,
        moments,
        float(arrays["copy_rate"]),
        None if repeated is None else np.asarray(repeated, np.bool_),
        None if keys is None else np.asarray(keys, np.uint64),
    )


def cache_sample(cache: Cache, key: str, sample: FeatureSample) -> None:
    """Store a sample under `key`."""
    arrays: dict[str, NDArray[np.generic]] = {
        "values": sample.features.values,
        "rows": sample.rows,
        "copy_rate": np.asarray(sample.copy_rate),
    }
    if sample.features.logits is not None:
        arrays["logits"] = sample.features.logits
    if sample.streamed is not None:
        arrays |= {
            "n": np.asarray(sample.streamed.n),
            "mean": sample.streamed.mean,
            "m2": sample.streamed.m2,
        }
    if sample.repeated is not None:
        arrays["repeated"] = sample.repeated
    if sample.keys is not None:
        arrays["keys"] = sample.keys
    if sample.classes is not None:
        arrays |= {name: np.asarray(value) for name, value in vars(sample.classes).items()}
    cache.put(KIND, key, arrays_to_bytes(arrays))


def sample_key(
    extractor: ResolvedExtractor,
    *,
    sequence_digest: str,
    num_images: int,
    device: str,
    subset: int,
    seed: int,
) -> str:
    """Return the cache key of a sample.

    Features depend on the kind of device in their last digits. Subset and seed matter only when
    there are more images than `subset`.
    """
    return cache_key(
        {
            "images": sequence_digest,
            "extractor": extractor.digest,
            "name": extractor.name,
            "settings": dict(extractor.settings),
            "compiled": extractor.compiled,
            "code": code_digest(
                __name__, Extraction.__module__, extractor.row.loader.partition(":")[0]
            ),
            "libraries": library_versions(),
            "device": device.split(":", maxsplit=1)[0],
            "reduced": [subset, SUBSET_SEED, seed] if num_images > subset else [],
        }
    )
