"""t-SNE of a folder's images among real ones, computed when a page is made.

Scoring only stores the leading principal components, because t-SNE takes seconds. The result is
cached under the digest of the points.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.runtime.cache import Cache, cache_key
from bench.runtime.npz import arrays_from_bytes, arrays_to_bytes
from bench.runtime.provenance import library_versions

POINTS = 300  # of each side
STEPS = 500
PERPLEXITY = 30.0
MIN_POINTS = 30
SEED = 0


class Embedding(NamedTuple):
    """Points of both sides in one embedding, float32 P,2."""

    fake: NDArray[np.float32]
    real: NDArray[np.float32]


def tsne(
    fake_PC: NDArray[np.generic], real_PC: NDArray[np.generic], cache: Cache
) -> Embedding | None:
    """Return the t-SNE of the first 300 points of each side, given as principal components P,C.

    van der Maaten and Hinton (2008) in scikit-learn's Barnes-Hut version, started from the
    principal components. None with fewer than 30 points a side, fewer than two columns, or points
    that are all equal or not finite.
    """
    fake, real = (np.asarray(side[:POINTS], np.float32) for side in (fake_PC, real_PC))
    if (
        min(len(fake), len(real)) < MIN_POINTS
        or fake.shape[1] < 2
        or fake.shape[1:] != real.shape[1:]
    ):
        return None
    points = np.concatenate([fake, real])
    if not np.isfinite(points).all() or not np.ptp(points, axis=0).any():
        return None
    key = cache_key(
        {
            "points": hashlib.sha256(np.ascontiguousarray(points).tobytes()).hexdigest(),
            "shape": list(points.shape),
            "settings": [len(fake), STEPS, PERPLEXITY, SEED],
            "libraries": library_versions(),
        }
    )
    cached = cache.get("embeddings", key)
    if cached is None:
        from sklearn.manifold import TSNE  # type: ignore[import-untyped]  # slow to import

        model = TSNE(
            2, init="pca", perplexity=PERPLEXITY, max_iter=STEPS, random_state=SEED, n_jobs=1
        )
        placed = np.asarray(model.fit_transform(points), np.float32)
        cache.put("embeddings", key, arrays_to_bytes({"placed": placed}))
    else:
        placed = np.asarray(arrays_from_bytes(cached, "embedding")["placed"], np.float32)
    return Embedding(placed[: len(fake)], placed[len(fake) :])
