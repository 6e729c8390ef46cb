"""The rotation that maps one table onto another (orthogonal Procrustes, Schönemann 1966).

With the vectors of the pairs as columns of X and Y, W = U V^T of the singular value decomposition
Y X^T = U S V^T has the smallest |W X - Y| of all orthogonal matrices. Vectors are scaled to unit
length first, so that frequent words do not count more.

Refinement (Conneau et al. 2018) repeats it with the pairs of words that are each other's nearest
by CSLS, among the most frequent words.

Shape legend: N pairs, D dimensions, S and T words of the two tables.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.embeddings.retrieval import mean_cosine, nearest_rows
from bench.errors import InputError

NUM_FREQUENT = 10_000  # words of each table that refinement looks at
NUM_ROUNDS = 5  # of refinement


class Alignment(NamedTuple):
    """An orthogonal matrix W float64 D,D that maps x to W x, and how well it fits without labels:
    the mean CSLS of the nearest words of the most frequent ones.
    """

    rotation: NDArray[np.float64]
    criterion: float
    num_pairs: int  # of the last fit


def orthogonal_map(
    source_ND: NDArray[np.floating], target_ND: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the orthogonal W float64 D,D that maps the rows of `source_ND` closest to those of
    `target_ND` as `source_ND @ W.T`. Raises `InputError` for shapes that differ, or no rows.

    >>> turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    >>> x = np.array([[1.0, 0.0], [1.0, 2.0]])
    >>> bool(np.allclose(orthogonal_map(x, x @ turn.T), turn))
    True
    """
    if source_ND.shape != target_ND.shape or not len(source_ND):
        raise InputError(
            f"a rotation needs pairs of vectors of one length, got {source_ND.shape} and "
            f"{target_ND.shape}"
        )
    product_DD = target_ND.T.astype(np.float64) @ source_ND.astype(np.float64)
    u_DD, _, vt_DD = np.linalg.svd(product_DD)
    found: NDArray[np.float64] = u_DD @ vt_DD
    return found


def mapped(unit_ND: NDArray[np.float32], map_DD: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return W x for each row x; a rotation keeps unit lengths."""
    found: NDArray[np.float32] = unit_ND @ map_DD.T.astype(np.float32)
    return found


def fit_criterion(
    source_SD: NDArray[np.float32], target_TD: NDArray[np.float32], map_DD: NDArray[np.float64]
) -> float:
    """Return the mean CSLS of the nearest target of each source word: higher is a better fit.

    It needs no dictionary (Conneau et al. 2018, section 2.4).
    """
    moved_SD = mapped(source_SD, map_DD)
    penalty_T = mean_cosine(target_TD, moved_SD)
    best = nearest_rows(moved_SD, target_TD, 1, penalty_V=penalty_T)
    return float((best.values[:, 0] - mean_cosine(moved_SD, target_TD)).mean())


def refine(
    source_SD: NDArray[np.float32],
    target_TD: NDArray[np.float32],
    map_DD: NDArray[np.float64],
    *,
    num_frequent: int = NUM_FREQUENT,
    num_rounds: int = NUM_ROUNDS,
) -> Alignment:
    """Return the best map of some rounds of refinement, by `fit_criterion`; rows are unit vectors.

    A round that finds no pair of mutual neighbours ends it.
    """
    source_SD, target_TD = source_SD[:num_frequent], target_TD[:num_frequent]
    best = Alignment(map_DD, fit_criterion(source_SD, target_TD, map_DD), 0)
    current_DD = map_DD
    for _ in range(num_rounds):
        source_N, target_N = mutual_neighbours(source_SD, target_TD, current_DD)
        if not len(source_N):
            break
        current_DD = orthogonal_map(source_SD[source_N], target_TD[target_N])
        criterion = fit_criterion(source_SD, target_TD, current_DD)
        if criterion > best.criterion:
            best = Alignment(current_DD, criterion, len(source_N))
    return best


def mutual_neighbours(
    source_SD: NDArray[np.float32], target_TD: NDArray[np.float32], map_DD: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows of pairs of words that are each other's nearest by CSLS."""
    moved_SD = mapped(source_SD, map_DD)
    penalty_T, penalty_S = mean_cosine(target_TD, moved_SD), mean_cosine(moved_SD, target_TD)
    forth_S = nearest_rows(moved_SD, target_TD, 1, penalty_V=penalty_T).rows[:, 0]
    back_T = nearest_rows(target_TD, moved_SD, 1, penalty_V=penalty_S).rows[:, 0]
    source_N = np.flatnonzero(back_T[forth_S] == np.arange(len(forth_S)))
    return source_N, forth_S[source_N]
