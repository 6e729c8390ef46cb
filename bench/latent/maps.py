"""Two-dimensional maps of codes, and how faithful a map is.

    PCA              the first two principal components
    t-SNE            perplexity 30, 500 rounds, started from PCA (van der Maaten & Hinton 2008)
    UMAP             15 neighbours, least distance 0.1 (McInnes et al. 2018), where umap-learn is
                     installed: `pip install umap-learn`
    trustworthiness  1 - 2 / (n k (2n - 3k - 1)) sum of (r - k) over points that are among the k
                     nearest on the map but have rank r > k in the codes (Venna & Kaski 2001)
    continuity       the same with codes and map exchanged
    Shepard          Spearman correlation of all pairwise distances in the codes and on the map

Distances are Euclidean, k is 10, and ties go to the lower index.

Shape legend: N images, D codes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.latent.values import Absent

K_MAP = 10
PERPLEXITY = 30.0
TSNE_ROUNDS = 500
UMAP_NEIGHBOURS, UMAP_DISTANCE = 15, 0.1
MIN_POINTS = 100

Codes = NDArray[np.float32]
Map = NDArray[np.float32]


def _pca(codes: Codes, seed: int) -> Map:  # noqa: ARG001  (the interface of a map)
    centred = codes - codes.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :2]
    largest = np.abs(axes).argmax(axis=0)
    axes = axes * np.sign(axes[largest, np.arange(axes.shape[1])])
    placed: Map = (centred @ axes).astype(np.float32)
    return placed


def _tsne(codes: Codes, seed: int) -> Map:
    from sklearn.manifold import TSNE  # type: ignore[import-untyped]

    model = TSNE(
        2,
        init="pca",
        perplexity=PERPLEXITY,
        max_iter=TSNE_ROUNDS,
        random_state=seed % 2**32,
        n_jobs=1,
    )
    return np.asarray(model.fit_transform(codes), np.float32)


def _umap(codes: Codes, seed: int) -> Map:
    try:
        from umap import UMAP  # type: ignore[import-not-found]
    except ImportError as error:
        raise Absent("umap-learn is not installed; pip install umap-learn") from error
    model = UMAP(
        n_neighbors=UMAP_NEIGHBOURS,
        min_dist=UMAP_DISTANCE,
        random_state=seed % 2**32,
        n_jobs=1,
    )
    return np.asarray(model.fit_transform(codes), np.float32)


MAPS: dict[str, Callable[[Codes, int], Map]] = {"pca": _pca, "t-sne": _tsne, "umap": _umap}


def two_dimensional(name: str, codes: Codes, *, seed: int = 0) -> Map:
    """Return a map ("pca", "t-sne" or "umap") of codes N,D: float32 N,2.

    Codes of two dimensions are their own map. Raises `Absent` for fewer than 100 codes, codes of
    one dimension, codes that are all equal or not finite, and where UMAP is not installed.
    """
    if len(codes) < MIN_POINTS:
        raise Absent(f"{len(codes)} images; a map needs at least {MIN_POINTS}")
    if codes.shape[1] < 2:
        raise Absent("codes of one dimension have no two-dimensional map")
    if not np.isfinite(codes).all():
        raise Absent("codes are NaN or infinite")
    if not np.ptp(codes, axis=0).any():
        raise Absent("all codes are equal")
    return codes.copy() if codes.shape[1] == 2 else MAPS[name](codes, seed)


def _squared_distances(points: NDArray[np.float32]) -> NDArray[np.float64]:
    x = points.astype(np.float64)
    x = x - x.mean(axis=0)
    norms = (x**2).sum(axis=1)
    squared: NDArray[np.float64] = np.maximum(norms[:, None] + norms - 2 * (x @ x.T), 0)
    return squared


def _ranks(points: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the rank of column j among the neighbours of row i, from 1; 0 for the row itself."""
    squared = _squared_distances(points)
    np.fill_diagonal(squared, -1)
    order = np.argsort(squared, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(len(order))[None, :], axis=1)
    return ranks


def trustworthiness(codes: Codes, placed: Map, k: int = K_MAP) -> float:
    """Return the trustworthiness of a map, 1 when its neighbours are neighbours of the codes.

    Raises `Absent` unless there are more than 2k points.
    """
    n = len(codes)
    if n <= 2 * k:
        raise Absent(f"{n} images; {k} neighbours need more than {2 * k}")
    original, shown = _ranks(codes), _ranks(placed)
    intruders = (shown >= 1) & (shown <= k) & (original > k)
    return float(1 - 2 / (n * k * (2 * n - 3 * k - 1)) * (original[intruders] - k).sum())


def continuity(codes: Codes, placed: Map, k: int = K_MAP) -> float:
    """Return the continuity of a map, 1 when neighbours of the codes are neighbours on it."""
    return trustworthiness(placed, codes, k)


def shepard_correlation(codes: Codes, placed: Map) -> float:
    """Return Spearman's correlation of the pairwise distances of codes and map."""
    from scipy.stats import rankdata

    upper = np.triu_indices(len(codes), 1)
    original, shown = (
        rankdata(np.sqrt(_squared_distances(side)[upper])) for side in (codes, placed)
    )
    if np.ptp(original) == 0 or np.ptp(shown) == 0:
        raise Absent("all distances are equal")
    return float(np.corrcoef(original, shown)[0, 1])
