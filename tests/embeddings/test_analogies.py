"""Analogies against a written-out search, in float64, and against answers known by construction."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.embeddings import analogies
from bench.embeddings.analogies import METHODS, Method, answer_analogies, score_analogies
from bench.embeddings.question_files import Question
from bench.embeddings.table import EmbeddingTable
from bench.errors import UsageError

RNG = np.random.default_rng(1)
VECTORS = RNG.standard_normal((300, 12)).astype(np.float32) + 0.3
TABLE = EmbeddingTable([f"w{number}" for number in range(300)], VECTORS)
TRIPLES = np.array([RNG.choice(300, 3, replace=False) for _ in range(200)])


def brute_force(triples: NDArray[np.intp], method: Method) -> Iterator[int]:
    """The definition, one question and one word at a time, in float64."""
    unit = VECTORS / np.linalg.norm(VECTORS.astype(np.float64), axis=1, keepdims=True)
    for a, b, c in triples.tolist():
        if method == "3cosadd":
            wanted = unit[b] - unit[a] + unit[c]
            value = unit @ wanted / np.linalg.norm(wanted)
        else:
            similar = (1 + unit @ unit[[a, b, c]].T) / 2
            value = similar[:, 1] * similar[:, 2] / (similar[:, 0] + 0.001)
        yield max((w for w in range(300) if w not in (a, b, c)), key=lambda w: value[w])


@pytest.mark.parametrize("method", METHODS)
def test_against_the_definition(method: Method) -> None:
    found = answer_analogies(TABLE, TRIPLES)[method]
    assert found.tolist() == list(brute_force(TRIPLES, method))


def test_the_two_methods_differ() -> None:
    found = answer_analogies(TABLE, TRIPLES)
    assert (found["3cosadd"] != found["3cosmul"]).any()


@pytest.mark.parametrize("order", [METHODS, METHODS[::-1], METHODS[1:]])
def test_blocks_chunks_and_the_order_of_methods_change_nothing(
    order: tuple[Method, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = answer_analogies(TABLE, TRIPLES)
    monkeypatch.setattr("bench.embeddings.table.BLOCK_BYTES", 12 * 4 * 70)
    monkeypatch.setattr(analogies, "CHUNK_QUESTIONS", 33)
    monkeypatch.setattr(analogies, "PRODUCT_BYTES", 1)
    monkeypatch.setattr(analogies, "NUM_THREADS", 3)
    for method, rows in answer_analogies(TABLE, TRIPLES, methods=order).items():
        np.testing.assert_array_equal(rows, whole[method])


def test_a_table_and_its_rotation_have_the_same_answers() -> None:
    turn = np.linalg.qr(RNG.standard_normal((12, 12)))[0]
    turned = EmbeddingTable(TABLE.words, (VECTORS @ turn).astype(np.float32))
    for method, rows in answer_analogies(turned, TRIPLES).items():
        np.testing.assert_array_equal(rows, answer_analogies(TABLE, TRIPLES)[method])


def test_the_length_of_a_vector_does_not_matter() -> None:
    scaled = VECTORS * RNG.uniform(1e-30, 1e30, (300, 1))
    table = EmbeddingTable(TABLE.words, scaled.astype(np.float32))
    found = answer_analogies(table, TRIPLES)
    for method in METHODS:
        np.testing.assert_array_equal(found[method], list(brute_force(TRIPLES, method)))


def hand_made() -> EmbeddingTable:
    """A grid of male and female against six kinds: every analogy along it is exact."""
    kinds, words, rows = np.eye(6, dtype=np.float32), [], []
    for number, kind in enumerate(kinds):
        for sex, direction in (("m", [1, 0]), ("f", [0, 1])):
            words.append(f"{sex}{number}")
            rows.append([*kind, *direction])
    return EmbeddingTable([*words, "zero"], np.array([*rows, [0] * 8], np.float32))


def test_exact_analogies_are_all_right_and_counted_by_section() -> None:
    questions = [
        Question("forth" if a < b else "back", f"m{a}", f"f{a}", f"m{b}", f"f{b}")
        for a in range(6)
        for b in range(6)
        if a != b
    ]
    questions += [
        Question("forth", "m0", "f0", "m1", "missing"),
        Question("forth", "m0", "f0", "m1", "m1"),
        Question("odd", "missing", "f0", "m1", "f1"),
        Question("wrong", "m0", "f0", "m1", "f2"),
    ]
    found = score_analogies(hand_made(), questions)
    by_section = {one.section: one for one in found.scores if one.method == "3cosmul"}
    assert list(by_section) == ["forth", "back", "odd", "wrong", "all"]
    counts = {
        name: (one.num_right, one.num_asked, one.num_unknown, one.num_impossible)
        for name, one in by_section.items()
    }
    assert counts == {
        "forth": (15, 15, 1, 1),
        "back": (15, 15, 0, 0),
        "odd": (0, 0, 1, 0),
        "wrong": (0, 1, 0, 0),
        "all": (30, 31, 2, 1),
    }
    assert by_section["odd"].accuracy is None
    share = by_section["all"].accuracy
    assert share is not None
    # Wilson by hand: (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4 n^2)) / (1 + z^2 / n)
    assert (round(share.low, 4), round(share.high, 4)) == (0.8381, 0.9943)
    assert found.answers["3cosadd"][-4:] == [None, None, None, "f1"]


def test_of_equal_words_the_first_is_taken() -> None:
    words = ["a", "b", "c", "x", "y"]
    vectors = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1], [0, 2, 2]], np.float32)
    triples = np.array([[0, 1, 2]])
    for rows in answer_analogies(EmbeddingTable(words, vectors), triples).values():
        assert rows.tolist() == [3]


def test_bad_input() -> None:
    small = EmbeddingTable(["a", "b", "c"], np.eye(3, dtype=np.float32))
    with pytest.raises(UsageError, match="needs four words, the table has 3"):
        answer_analogies(small, np.array([[0, 1, 2]]))
    with pytest.raises(UsageError, match="valid: 3cosadd, 3cosmul"):
        answer_analogies(TABLE, TRIPLES, methods=["4cos"])  # type: ignore[list-item]
    assert score_analogies(small, [Question("s", "x", "a", "b", "c")]).scores[0].num_asked == 0
