"""`EmbeddingTable`: words and one vector for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, UnknownNameError, UsageError
from bench.runtime.printable import sanitise

BLOCK_BYTES = 32 << 20  # of vectors that are scaled to unit length at once
MAX_SUGGESTED = 20  # words that an error about an unknown word lists
MAX_DIM = 100_000
DUPLICATE, NOT_UTF8 = "duplicate words", "words that are not UTF-8"  # reasons to skip a row
TINY = float(np.finfo(np.float32).tiny)  # a shorter vector has no direction in float32


class Block(NamedTuple):
    """Consecutive rows of a table: the first row's number, and unit vectors float32 B,D."""

    start: int
    unit: NDArray[np.float32]


class EmbeddingTable:
    """Words, most frequent first where the file is sorted that way, and float32 vectors V,D.

    `skipped` counts the rows of a file that were left out, by reason. Raises `InputError` for words
    that repeat, for vectors that do not match the words, and for values that are not finite.

    >>> table = EmbeddingTable(["cat", "dog"], np.array([[3.0, 4.0], [0.0, 0.0]], np.float32))
    >>> len(table), table.dim, table.row("dog")
    (2, 2, 1)
    >>> table.unit([0, 1])  # a zero vector has no direction and stays zero
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """

    def __init__(
        self,
        words: Sequence[str],
        vectors_VD: NDArray[np.float32],
        *,
        name: str = "table",
        skipped: Mapping[str, int] | None = None,
    ) -> None:
        self.words = list(words)
        self.vectors = np.asarray(vectors_VD, np.float32)
        self.name = name
        self.skipped = dict(skipped or {})
        if self.vectors.ndim != 2 or 0 in self.vectors.shape:
            raise InputError(
                f"{name}: expected vectors of shape words x dimensions with at least one of each, "
                f"got shape {self.vectors.shape}"
            )
        if len(self.words) != len(self.vectors):
            raise InputError(
                f"{name}: {len(self.words):,} words and {len(self.vectors):,} vectors; each "
                "word needs one vector"
            )
        self._rows = {word: row for row, word in enumerate(self.words)}
        if len(self._rows) < len(self.words):
            row = next(row for row, word in enumerate(self.words) if self._rows[word] != row)
            raise InputError(
                f"{name}: the word {sanitise(self.words[row])!r} has several rows; the first is "
                f"row {row + 1:,}. Keep one of them"
            )
        for start in range(0, len(self), self._block_size):
            finite_B = np.isfinite(self.vectors[start : start + self._block_size]).all(axis=1)
            if not finite_B.all():
                row = start + int(finite_B.argmin())
                raise InputError(
                    f"{name}: row {row + 1:,} ({sanitise(self.words[row])!r}) has a value that is "
                    "not finite"
                )

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self._rows

    @property
    def dim(self) -> int:
        """Number of dimensions D."""
        return int(self.vectors.shape[1])

    def row(self, word: str) -> int:
        """Return the row of a word. Raises `UnknownNameError` with words that are similar."""
        if word not in self._rows:
            import difflib

            close = difflib.get_close_matches(word, self.words[:100_000], n=MAX_SUGGESTED)
            if not close:
                raise UsageError(f"{self.name}: the word {sanitise(word)!r} is not in the table")
            raise UnknownNameError(f"word of {self.name}", word, close)
        return self._rows[word]

    def find(self, word: str) -> int | None:
        """Return the row of a word, or None."""
        return self._rows.get(word)

    def unit(self, rows: Sequence[int] | NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """Return the vectors of some rows scaled to unit length; zero vectors stay zero."""
        index = rows if isinstance(rows, slice) else np.asarray(rows, np.intp)
        scaled: NDArray[np.float32] = self.vectors[index] * self._scale[index, None]
        return scaled

    def blocks(self) -> Iterator[Block]:
        """Yield all rows in blocks of unit vectors, so that no second table is held."""
        for start in range(0, len(self), self._block_size):
            yield Block(start, self.unit(slice(start, start + self._block_size)))

    @property
    def _block_size(self) -> int:
        return max(BLOCK_BYTES // (4 * self.dim), 1)

    @cached_property
    def _scale(self) -> NDArray[np.float32]:
        """One over the length of each vector, 0 for a zero vector."""
        scale_V = np.empty(len(self), np.float32)
        for start in range(0, len(self), self._block_size):
            rows = slice(start, start + self._block_size)
            # in float64, whose squares neither overflow nor vanish for any float32
            block = self.vectors[rows].astype(np.float64)
            length = np.sqrt(np.einsum("bd,bd->b", block, block))
            scale_V[rows] = np.divide(1, length, out=np.zeros_like(length), where=length > TINY)
        return scale_V
