"""Nearest words by cosine and CSLS against a written-out search in float64."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.embeddings import retrieval
from bench.embeddings.retrieval import mean_cosine, nearest_rows, nearest_words, precision_at
from bench.embeddings.table import EmbeddingTable
from bench.errors import UnknownNameError, UsageError

RNG = np.random.default_rng(2)


def unit(n: int, dim: int = 6) -> NDArray[np.float32]:
    x = RNG.standard_normal((n, dim)) + 0.5
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


QUERIES, OTHERS = unit(40), unit(90)


def csls(x_ND: NDArray[np.float32], y_VD: NDArray[np.float32], k: int) -> NDArray[np.float64]:
    """Conneau et al. 2018, equation 3, word by word."""
    cosine = x_ND.astype(np.float64) @ y_VD.T.astype(np.float64)
    r_x = [np.sort(row)[::-1][:k].mean() for row in cosine]
    r_y = [np.sort(column)[::-1][:k].mean() for column in cosine.T]
    return np.array(
        [[2 * cosine[i, j] - r_x[i] - r_y[j] for j in range(len(y_VD))] for i in range(len(x_ND))]
    )


@pytest.mark.parametrize(("tile", "queries"), [(8192, 2048), (7, 9)])
def test_cosine_and_csls(tile: int, queries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "TILE", tile)
    monkeypatch.setattr(retrieval, "QUERIES", queries)
    found = nearest_rows(QUERIES, OTHERS, 10)
    cosine = QUERIES.astype(np.float64) @ OTHERS.T
    np.testing.assert_array_equal(found.rows, np.argsort(-cosine, axis=1)[:, :10])
    np.testing.assert_allclose(found.values, -np.sort(-cosine, axis=1)[:, :10], atol=1e-6)
    penalty = mean_cosine(OTHERS, QUERIES, 10)
    value = csls(QUERIES, OTHERS, 10)
    found = nearest_rows(QUERIES, OTHERS, 10, penalty_V=penalty)
    np.testing.assert_array_equal(found.rows, np.argsort(-value, axis=1)[:, :10])
    own = mean_cosine(QUERIES, OTHERS, 10)
    best = -np.sort(-value, axis=1)[:, :10]
    np.testing.assert_allclose(found.values - own[:, None], best, atol=1e-6)


def test_csls_takes_a_hub_down() -> None:
    """By cosine the hub (column 0) is the nearest of all queries. By CSLS with k = 1, whose
    penalties are 1, 0.85 and 0.85, the first two have 2 x 0.9 - 1 = 0.8 there and
    2 x 0.85 - 0.85 = 0.85 at a word of their own.
    """
    cosine = np.array([[0.9, 0.85, 0.0], [0.9, 0.0, 0.85], [1.0, 0.7, 0.7]])
    # rows with these inner products: any factorisation of the cosine matrix will do
    queries, others = cosine.astype(np.float32), np.eye(3, dtype=np.float32)
    assert nearest_rows(queries, others, 1).rows[:, 0].tolist() == [0, 0, 0]
    penalty = mean_cosine(others, queries, 1)
    np.testing.assert_allclose(penalty, [1, 0.85, 0.85], rtol=1e-6)
    found = nearest_rows(queries, others, 1, penalty_V=penalty)
    assert found.rows[:, 0].tolist() == [1, 2, 0]


@pytest.mark.parametrize("k", [1, 3, 5, 50])
@pytest.mark.parametrize("tile", [4, 100])
def test_ties_go_to_the_first(k: int, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "TILE", tile)
    others = np.repeat(np.eye(2, dtype=np.float32), [10, 5], axis=0)
    rows = nearest_rows(others[:1], others, k).rows[0].tolist()
    assert rows == list(range(15))[:k]


def test_words(monkeypatch: pytest.MonkeyPatch) -> None:
    table = EmbeddingTable([f"w{number}" for number in range(90)], OTHERS * 3)
    monkeypatch.setattr("bench.embeddings.table.BLOCK_BYTES", 6 * 4 * 20)
    found = nearest_words(table, ["w5", "w80"], 4)
    cosine = OTHERS.astype(np.float64) @ OTHERS.T
    for word, row in (("w5", 5), ("w80", 80)):
        expected = [i for i in np.argsort(-cosine[row]) if i != row][:4]
        assert [near for near, _ in found[word]] == [f"w{i}" for i in expected]
        assert [v for _, v in found[word]] == pytest.approx(cosine[row][expected], abs=1e-6)
    with pytest.raises(UnknownNameError, match="Did you mean"):
        nearest_words(table, ["w5x"])
    with pytest.raises(UsageError, match="'zebra' is not in the table"):
        nearest_words(table, ["zebra"])
    with pytest.raises(UsageError, match="at least 1, got 0"):
        nearest_rows(QUERIES, OTHERS, 0)


def test_precision_counts_any_right_word() -> None:
    rows = np.array([[4, 1, 2, 3, 5, 6, 7, 8, 9, 0], [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]])
    found = precision_at(rows, [{4, 9}, {0}], "csls")
    assert [(one.rank, one.num_right, one.num_queries) for one in found] == [
        (1, 1, 2), (5, 1, 2), (10, 2, 2),
    ]  # fmt: skip
    assert precision_at(rows[:0], [], "csls")[0].share is None
