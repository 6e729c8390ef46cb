"""Nearest words by cosine and by CSLS, and the precision of a translation.

CSLS (Conneau et al. 2018) subtracts from the cosines what is large about a word in general, so that
hubs, the nearest words of many others, do not win everywhere:

    CSLS(x, y) = 2 cos(x, y) - r(x) - r(y)

where r(y) is the mean cosine of y with its k = 10 nearest words of the other table. r(x) is the
same for all candidates of one query; it changes no order but is part of the value.

Shape legend: N queries, V words of the other table, D dimensions, K neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.embeddings.products import cosines
from bench.embeddings.table import EmbeddingTable
from bench.errors import UsageError
from bench.statistics.intervals import Uncertainty, wilson

Criterion = Literal["cosine", "csls"]
CRITERIA: tuple[Criterion, ...] = ("cosine", "csls")
CSLS_NEIGHBOURS = 10  # Conneau et al. 2018
RANKS = (1, 5, 10)
TILE = 8192  # rows of either side of one product
QUERIES = 2048


class Nearest(NamedTuple):
    """The best rows of each query, best first, int N,K, and their values, float32 N,K."""

    rows: NDArray[np.intp]
    values: NDArray[np.float32]


def nearest_rows(
    queries_ND: NDArray[np.float32],
    unit_VD: NDArray[np.float32],
    k: int,
    *,
    penalty_V: NDArray[np.float32] | None = None,
) -> Nearest:
    """Return the `k` rows with the largest cosine of each query; all rows if there are fewer.

    With `penalty_V`, the value is twice the cosine minus the penalty of the row. Both sides are
    unit vectors. Of equal values the first rows are taken. Raises `UsageError` if k is below 1.

    >>> unit = np.eye(3, dtype=np.float32)
    >>> nearest_rows(unit[:1], unit, 2).rows
    array([[0, 1]])
    """
    if k < 1:
        raise UsageError(f"number of neighbours must be at least 1, got {k}")
    k = min(k, len(unit_VD))
    rows_NK = np.empty((len(queries_ND), k), np.intp)
    values_NK = np.empty((len(queries_ND), k), np.float32)
    for at in range(0, len(queries_ND), QUERIES):
        queries = queries_ND[at : at + QUERIES]
        rows = np.empty((len(queries), 0), np.intp)
        values = np.empty((len(queries), 0), np.float32)
        for start in range(0, len(unit_VD), TILE):
            value_NB = cosines(queries, unit_VD[start : start + TILE])
            if penalty_V is not None:
                value_NB *= 2
                value_NB -= penalty_V[start : start + TILE]
            found = _largest(value_NB, k)
            rows = np.hstack([rows, found + start])
            values = np.hstack([values, np.take_along_axis(value_NB, found, axis=1)])
            # a stable sort keeps the first of equal values first
            order = np.argsort(-values, axis=1, kind="stable")[:, :k]
            rows = np.take_along_axis(rows, order, axis=1)
            values = np.take_along_axis(values, order, axis=1)
        rows_NK[at : at + QUERIES], values_NK[at : at + QUERIES] = rows, values
    return Nearest(rows_NK, values_NK)


def _largest(value_NB: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Return the columns of the k largest values of each row in rising order; the first of ties."""
    if k >= value_NB.shape[1]:
        return np.broadcast_to(np.arange(value_NB.shape[1]), value_NB.shape)
    if k == 1:
        return np.asarray(value_NB.argmax(axis=1), np.intp)[:, None]
    found = np.argpartition(-value_NB, k - 1, axis=1)[:, :k]
    least = np.take_along_axis(value_NB, found, axis=1).min(axis=1, keepdims=True)
    # argpartition takes any of equal values: rows with more of them than places are sorted
    for row in np.flatnonzero((value_NB >= least).sum(axis=1) > k):
        found[row] = np.argsort(-value_NB[row], kind="stable")[:k]
    return np.sort(found, axis=1)


def mean_cosine(
    unit_ND: NDArray[np.float32], others_VD: NDArray[np.float32], k: int = CSLS_NEIGHBOURS
) -> NDArray[np.float32]:
    """Return r: the mean cosine of each vector with its k nearest of the others, float32 N."""
    found: NDArray[np.float32] = nearest_rows(unit_ND, others_VD, k).values.mean(axis=1)
    return found


def nearest_words(
    table: EmbeddingTable, words: Iterable[str], k: int = 10
) -> dict[str, list[tuple[str, float]]]:
    """Return the k nearest other words of each word with their cosines, nearest first.

    Raises `UsageError` for a word that is not in the table.
    """
    rows = {word: table.row(word) for word in words}
    unit_ND = table.unit(list(rows.values()))
    best: dict[str, list[tuple[float, int]]] = {word: [] for word in rows}
    for block in table.blocks():
        found = nearest_rows(unit_ND, block.unit, k + 1)
        for word, at, values in zip(rows, found.rows, found.values, strict=True):
            new = [(-float(v), block.start + int(r)) for r, v in zip(at, values, strict=True)]
            best[word] = sorted(best[word] + [one for one in new if one[1] != rows[word]])[:k]
    return {
        word: [(table.words[row], -value) for value, row in found] for word, found in best.items()
    }


@dataclass(frozen=True, kw_only=True)
class Precision:
    """The share of queries with a right word among the first `rank`, with Wilson's interval."""

    criterion: Criterion
    rank: int
    num_right: int
    num_queries: int

    @property
    def share(self) -> Uncertainty | None:
        """None if there is no query."""
        return wilson(self.num_right, self.num_queries) if self.num_queries else None


def precision_at(
    rows_NK: NDArray[np.intp],
    right: Sequence[set[int]],
    criterion: Criterion,
    ranks: Sequence[int] = RANKS,
) -> list[Precision]:
    """Return the precision at each rank; `right` has the right rows of each query.

    >>> found = precision_at(np.array([[3, 1], [0, 2]]), [{1}, {0, 9}], "cosine", (1, 2))
    >>> [(one.rank, one.num_right) for one in found]
    [(1, 1), (2, 2)]
    """
    first = [
        next((rank for rank, row in enumerate(rows, start=1) if row in of), None)
        for rows, of in zip(rows_NK.tolist(), right, strict=True)
    ]
    return [
        Precision(
            criterion=criterion,
            rank=rank,
            num_right=sum(1 for at in first if at is not None and at <= rank),
            num_queries=len(right),
        )
        for rank in ranks
    ]
