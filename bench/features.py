"""Features of a set of images, kept in the cache by the digest of all that they depend on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.cache import Cache, cache_key
from bench.extractors.base import Extractor, ExtractorRow, Progress
from bench.intake import ImageSet
from bench.provenance import library_versions, source_digest
from bench.stats import Features, arrays_from_bytes, arrays_to_bytes

KIND = "features"


def extract(
    images: ImageSet,
    row: ExtractorRow,
    load: Callable[[], Extractor],
    *,
    device: str,
    cache: Cache,
    progress: Progress | None = None,
) -> Features:
    """Features of `images` by the extractor of `row`; `load` is called only when the cache has
    none. Features of another device kind are others: their last digits differ.
    """
    key = cache_key(
        {
            "images": images.sequence_digest,
            "extractor": row.sha256,
            "code": source_digest(),
            "libraries": library_versions(),
            "device": device.split(":", maxsplit=1)[0],
        }
    )
    kept = cache.get(KIND, key)
    if kept is not None:
        arrays = arrays_from_bytes(kept, f"cache entry {key}")
        logits = arrays.get("logits")
        return Features(
            np.asarray(arrays["values"], np.float32),
            None if logits is None else np.asarray(logits, np.float32),
        )
    features = load()(images.images, progress=progress)
    stored = {"values": features.values}
    if features.logits is not None:
        stored["logits"] = features.logits
    cache.put(KIND, key, arrays_to_bytes(stored))
    return features
