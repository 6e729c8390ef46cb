"""Analogies a : b :: c : ? in a table of word vectors.

    3CosAdd  argmax over words w of  cos(w, b - a + c)                         Mikolov et al. 2013
    3CosMul  argmax of  s(w, b) s(w, c) / (s(w, a) + 0.001),  s = (1 + cos) / 2    Levy and Goldberg
                                                                                   2014
a, b and c are vectors of unit length and are never the answer. Of equally good words the first of
the table is taken.

Both need only the cosines of the table with the words of the questions, so a block of the table is
multiplied once with those words, and each question combines three rows of the product.

Shape legend: Q questions, U different words of the questions, B words of a block of the table,
D dimensions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.embeddings.products import cosines
from bench.embeddings.question_files import Question
from bench.embeddings.table import Block, EmbeddingTable
from bench.errors import UsageError
from bench.runtime.progress import CountProgress
from bench.statistics.intervals import Uncertainty, wilson

Method = Literal["3cosadd", "3cosmul"]
METHODS: tuple[Method, ...] = ("3cosadd", "3cosmul")
EPSILON = 1e-3  # Levy and Goldberg 2014
CHUNK_QUESTIONS = 4096  # questions whose words are multiplied at once
PRODUCT_BYTES = 96 << 20  # of one product
NUM_THREADS = os.cpu_count() or 1

ALL = "all"  # section of all questions together


@dataclass(frozen=True, kw_only=True)
class AnalogyScore:
    """How many questions of a section a method answered rightly.

    `num_unknown` questions have a word outside the table, and `num_impossible` ask for one of their
    own three words; neither are asked.
    """

    section: str
    method: Method
    num_right: int
    num_asked: int
    num_unknown: int
    num_impossible: int

    @property
    def accuracy(self) -> Uncertainty | None:
        """The share of right answers with Wilson's interval; None if no question was asked."""
        return wilson(self.num_right, self.num_asked) if self.num_asked else None


@dataclass(frozen=True)
class AnalogyAnswers:
    """The answers in the order of the questions: None where a question was not asked."""

    questions: Sequence[Question]
    answers: dict[Method, list[str | None]]
    scores: list[AnalogyScore]


def score_analogies(
    table: EmbeddingTable,
    questions: Sequence[Question],
    *,
    methods: Iterable[Method] = METHODS,
    progress: CountProgress | None = None,
) -> AnalogyAnswers:
    """Return answers and scores of all questions, for each section and for all together.

    Example, with vectors whose dimensions are royal, male, female:

    >>> vectors = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 0], [0, 0, 1]], np.float32)
    >>> table = EmbeddingTable(["king", "queen", "man", "woman"], vectors)
    >>> found = score_analogies(table, [Question("royal", "man", "king", "woman", "queen")])
    >>> found.answers["3cosadd"], found.scores[0].num_right
    (['queen'], 1)
    """
    methods = tuple(methods)
    rows = [tuple(map(table.find, question[1:])) for question in questions]
    known = [position for position, row in enumerate(rows) if None not in row]
    asked = [position for position in known if rows[position][3] not in rows[position][:3]]
    triples_Q3 = np.array([rows[position][:3] for position in asked], np.intp).reshape(-1, 3)
    found = answer_analogies(table, triples_Q3, methods=methods, progress=progress)
    answers: dict[Method, list[str | None]] = {}
    scores = []
    kinds = dict.fromkeys(range(len(questions)), "unknown")
    kinds |= dict.fromkeys(known, "impossible") | dict.fromkeys(asked, "asked")
    for method in methods:
        words: list[str | None] = [None] * len(questions)
        for position, row in zip(asked, found[method].tolist(), strict=True):
            words[position] = table.words[row]
        answers[method] = words
        for section in (*dict.fromkeys(question.section for question in questions), None):
            of = [i for i, one in enumerate(questions) if section in (None, one.section)]
            count = [kinds[i] for i in of].count
            scores.append(
                AnalogyScore(
                    section=ALL if section is None else section,
                    method=method,
                    num_right=sum(words[i] == questions[i].d for i in of),
                    num_asked=count("asked"),
                    num_unknown=count("unknown"),
                    num_impossible=count("impossible"),
                )
            )
    return AnalogyAnswers(questions, answers, scores)


def answer_analogies(
    table: EmbeddingTable,
    triples_Q3: NDArray[np.intp],
    *,
    methods: Iterable[Method] = METHODS,
    progress: CountProgress | None = None,
) -> dict[Method, NDArray[np.intp]]:
    """Return the row of the best word for each triple of rows (a, b, c), by method.

    Raises `UsageError` for a table without a fourth word, and for a method that does not exist.
    """
    chosen = tuple(methods)
    if set(chosen) - set(METHODS):
        raise UsageError(f"unknown method in {', '.join(chosen)}; valid: {', '.join(METHODS)}")
    if len(table) < 4 and len(triples_Q3):
        raise UsageError(f"{table.name}: an analogy needs four words, the table has {len(table)}")
    chunks = [_Chunk(table, part_Q3, chosen) for part_Q3 in _parts(triples_Q3)]
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        for block in table.blocks():
            for chunk in chunks:
                chunk.see(block, pool.map)
            if progress is not None:
                progress(min(block.start + len(block.unit), len(table)), len(table))
    return {
        method: np.concatenate([np.zeros(0, np.intp), *(chunk.best[method] for chunk in chunks)])
        for method in chosen
    }


def _parts(triples_Q3: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    starts = range(0, len(triples_Q3), CHUNK_QUESTIONS)
    return [triples_Q3[start : start + CHUNK_QUESTIONS] for start in starts]


class _Chunk:
    """Some questions, their words' vectors, and the best answers in the blocks seen so far."""

    def __init__(
        self, table: EmbeddingTable, triples_Q3: NDArray[np.intp], methods: Sequence[Method]
    ) -> None:
        words_U, position = np.unique(triples_Q3, return_inverse=True)
        self._words_UD = table.unit(words_U)
        self._triples: list[list[int]] = [row.tolist() for row in triples_Q3]
        self._positions: list[list[int]] = [
            row.tolist() for row in position.reshape(triples_Q3.shape)
        ]
        self.best = {method: np.zeros(len(triples_Q3), np.intp) for method in methods}
        self._value = {method: np.full(len(triples_Q3), -np.inf, np.float32) for method in methods}

    def see(self, block: Block, run: Callable[..., Iterable[None]]) -> None:
        """Compare with the words of a block, in parts whose product fits in `PRODUCT_BYTES`."""
        size = max(PRODUCT_BYTES // (4 * len(self._words_UD)), 256)
        for start in range(0, len(block.unit), size):
            part_BD = block.unit[start : start + size]
            cosine_UB = cosines(self._words_UD, part_BD)
            self._see(block.start + start, cosine_UB, run)

    def _see(
        self, start: int, cosine_UB: NDArray[np.float32], run: Callable[..., Iterable[None]]
    ) -> None:
        halves = np.array_split(np.arange(len(self._triples)), NUM_THREADS)
        for method in METHODS:  # 3cosmul last: it changes the product
            if method not in self.best:
                continue
            if method == "3cosmul":
                cosine_UB += 1
                cosine_UB *= 0.5
            list(run(partial(self._answer, method, start, cosine_UB), halves))

    def _answer(
        self, method: Method, start: int, cosine_UB: NDArray[np.float32], part: NDArray[np.intp]
    ) -> None:
        """Answer some questions with the words of one block, by products of its rows."""
        size = cosine_UB.shape[1]
        score_B, divisor_B = np.empty(size, np.float32), np.empty(size, np.float32)
        best, value = self.best[method], self._value[method]
        for question in part.tolist():
            a, b, c = self._positions[question]
            if method == "3cosadd":
                np.add(cosine_UB[b], cosine_UB[c], out=score_B)
                np.subtract(score_B, cosine_UB[a], out=score_B)
            else:
                np.multiply(cosine_UB[b], cosine_UB[c], out=score_B)
                np.add(cosine_UB[a], EPSILON, out=divisor_B)
                np.divide(score_B, divisor_B, out=score_B)
            for row in self._triples[question]:
                if 0 <= row - start < size:
                    score_B[row - start] = -np.inf
            row = int(score_B.argmax())
            if score_B[row] > value[question]:
                value[question], best[question] = score_B[row], start + row
