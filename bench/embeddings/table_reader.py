"""`TableReader`: word vectors from a text or a word2vec binary file, and what is wrong with it.

Numbers go straight to their place in the table. Lines are read in batches: one call parses the
numbers of a batch, and only a batch in which something is unusual is read line by line.
"""

from __future__ import annotations

import gzip
import io
import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from bench.embeddings.table import DUPLICATE, MAX_DIM, NOT_UTF8, EmbeddingTable
from bench.errors import InputError, NothingFoundError
from bench.runtime.printable import sanitise

MAX_WORDS = 100_000_000
MAX_LINE = 4 << 20  # bytes of one line, and of one word in a binary file
BATCH_LINES = 512
CHUNK = 4 << 20  # bytes of a binary file that are read at once
BOM = b"\xef\xbb\xbf"


class Header(NamedTuple):
    """The first line of a word2vec file: the number of words and of dimensions."""

    num_words: int
    dim: int


@contextmanager
def opened(path: Path, *, compressed: bool) -> Iterator[IO[bytes]]:
    """Open a file, and decompress it on the way."""
    with path.open("rb") as raw:
        yield gzip.GzipFile(fileobj=raw) if compressed else raw  # type: ignore[misc]


class TableReader:
    """One text or binary file; the position in it makes the messages."""

    def __init__(
        self, stream: IO[bytes], path: Path, name: str, num_words: int | None, *, lenient: bool
    ) -> None:
        self._stream: IO[bytes] | _Again = stream
        self._path, self._name = path, name
        self._wanted, self._lenient = num_words, lenient
        self._words: dict[str, int] = {}  # word -> line or number of the word
        self._skipped = {DUPLICATE: 0, NOT_UTF8: 0}
        self._vectors_VD = np.empty((0, 0), np.float32)
        self._is_gzip = isinstance(stream, gzip.GzipFile)

    def table(self) -> EmbeddingTable:
        """Read the file. Raises `InputError` with the place, and `NothingFoundError`."""
        first = self._line(1).removeprefix(BOM)
        header = self._header(first)
        if header is None:
            if not first.strip() and not self._stream.read(CHUNK).strip():
                raise NothingFoundError(f"{self._name}: no words; the file is empty")
            self._read_text(first, 1, self._dim(first), self._num_lines())
        elif self._is_binary(header):
            self._read_binary(header)
        else:
            self._require_room(header, 2 * header.dim + 2)
            self._read_text(self._line(2), 2, header.dim, header.num_words)
            found = len(self._words) + sum(self._skipped.values())
            if found != header.num_words and self._wanted is None:
                self._fail(1, f"states {header.num_words:,} words, {found:,} follow")
        if not self._words:
            raise NothingFoundError(f"{self._name}: no words after the first line")
        skipped = {reason: count for reason, count in self._skipped.items() if count}
        vectors_VD = self._vectors_VD[: len(self._words)]
        return EmbeddingTable(list(self._words), vectors_VD, name=self._name, skipped=skipped)

    # the beginning of a file

    def _line(self, number: int) -> bytes:
        line = self._stream.readline(MAX_LINE)
        if len(line) == MAX_LINE:
            self._fail(number, f"is longer than {MAX_LINE >> 20} MiB; this is no file of vectors")
        return line

    def _header(self, first: bytes) -> Header | None:
        """Return the two whole numbers of the first line, or None for a line of another form."""
        fields = first.split()
        if len(fields) != 2 or not all(field.isdigit() and len(field) < 19 for field in fields):
            return None
        header = Header(*map(int, fields))
        if not 1 <= header.dim <= MAX_DIM or not 0 <= header.num_words <= MAX_WORDS:
            self._fail(
                1,
                f"states {header.num_words:,} words of {header.dim:,} dimensions; at most "
                f"{MAX_WORDS:,} words of 1 to {MAX_DIM:,} dimensions are read",
            )
        if header.num_words == 0:
            raise NothingFoundError(f"{self._name}: the first line states 0 words")
        return header

    def _is_binary(self, header: Header) -> bool:
        """Return whether the first vector is bytes rather than decimal numbers."""
        sample = self._stream.read(MAX_LINE)
        self._stream = _Again(sample, self._stream)
        _, _, values = sample.partition(b" ")
        values = values[: 4 * header.dim].partition(b"\n")[0]
        return any(byte >= 127 or (byte < 32 and byte not in b"\t\r") for byte in values)

    def _require_room(self, header: Header, bytes_per_word: int) -> None:
        """Raise `InputError` if a file is too short for what its first line states."""
        if self._is_gzip:
            return
        room = self._path.stat().st_size // bytes_per_word
        if header.num_words > room + 1:
            self._fail(
                1,
                f"states {header.num_words:,} words of {header.dim:,} dimensions, but the file has "
                f"room for {room:,} at most",
            )

    def _dim(self, first: bytes) -> int:
        """Return the number of numbers at the end of the first line of a file without a header."""
        fields = first.split()
        numbers = itertools.takewhile(_is_number, reversed(fields[1:]))
        dim = sum(1 for _ in numbers)
        if not 1 <= dim <= MAX_DIM:
            self._fail(1, f"expected a word and its numbers, found {_shown(first)}")
        return dim

    def _num_lines(self) -> int:
        """Return an upper bound of the number of lines, from a pass over the file."""
        with opened(self._path, compressed=self._is_gzip) as stream:
            return 1 + sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(CHUNK), b""))

    def _allocate(self, num_words: int, dim: int) -> None:
        rows = num_words if self._wanted is None else min(num_words, self._wanted)
        self._vectors_VD = np.empty((rows, dim), np.float32)

    # text

    def _read_text(self, first: bytes, number: int, dim: int, num_words: int) -> None:
        self._allocate(num_words, dim)
        lines, ended = [first], False
        while lines and len(self._words) < len(self._vectors_VD):
            if ended and any(line.strip() for line in lines):
                self._fail(number, "follows an empty line; remove the empty line")
            filled = _without_blank_end(lines)
            ended = len(filled) < len(lines)
            self._add_lines(filled, number, dim)
            number += len(lines)
            lines = self._batch(number)
        if lines and self._wanted is None and any(line.strip() for line in lines):
            self._fail(number, f"follows the {len(self._words):,} words that the first line states")

    def _batch(self, number: int) -> list[bytes]:
        """Return the next lines, of which the first is line `number`."""
        lines: list[bytes] = []
        while len(lines) < BATCH_LINES and (line := self._line(number + len(lines))):
            lines.append(line)
        return lines

    def _add_lines(self, lines: list[bytes], number: int, dim: int) -> None:
        """Add a batch of lines, of which the first is line `number` of the file."""
        parts = [line.strip(b" \t\r\n").partition(b" ") for line in lines]
        fast = all(rest.count(b" ") == dim - 1 and b"  " not in rest for _, _, rest in parts)
        values = _parsed([rest for *_, rest in parts]) if fast else None
        if values is None or len(values) != dim * len(lines):
            slow = [self._split(line, number + i, dim) for i, line in enumerate(lines)]
            raw_words = [word for word, _ in slow]
            values_LD = np.array([numbers for _, numbers in slow], np.float32).reshape(-1, dim)
        else:
            raw_words, values_LD = [word for word, *_ in parts], values.reshape(-1, dim)
        for i in np.flatnonzero(~np.isfinite(values_LD).all(axis=1)).tolist():
            self._fail(number + i, f"word {_shown(raw_words[i])} has a number that is not finite")
        for i, word in enumerate(raw_words):
            self._add(word, values_LD[i], number + i)

    def _split(self, line: bytes, number: int, dim: int) -> tuple[bytes, list[float]]:
        """Return the word and the numbers of one line. Raises `InputError`.

        A word of GloVe may hold spaces: then the numbers are the last fields, and the fields before
        them but the first are no numbers.
        """
        fields = line.split()
        if not fields:
            self._fail(number, "is empty; remove it")
        numbers = fields[max(len(fields) - dim, 1) :]
        for field in numbers:
            if not _is_number(field):
                self._fail(number, f"{_shown(field)} is no number")
        more = fields[1 : len(fields) - dim]
        if len(numbers) < dim or any(map(_is_number, more)):
            self._fail(
                number, f"expected a word and {dim:,} numbers, found {len(fields) - 1:,} after it"
            )
        return b" ".join(fields[: len(fields) - dim]), [float(field) for field in numbers]

    def _add(self, raw: bytes, vector_D: NDArray[np.float32], number: int) -> None:
        """Add a word with its vector unless the table is full."""
        at = len(self._words)
        if at == len(self._vectors_VD):
            return
        try:
            word = raw.decode("utf-8")
        except UnicodeDecodeError:
            self._leave_out(NOT_UTF8, number, f"word {_shown(raw)} is not UTF-8")
            return
        if word in self._words:
            first = self._words[word]
            self._leave_out(
                DUPLICATE, number, f"repeats the word {_shown(raw)} of {self._place(first)}"
            )
            return
        self._words[word] = number
        self._vectors_VD[at] = vector_D

    def _leave_out(self, reason: str, number: int, message: str) -> None:
        if not self._lenient:
            self._fail(number, f"{message}. Repair the file, or read it leniently (--lenient)")
        self._skipped[reason] += 1

    # binary

    def _read_binary(self, header: Header) -> None:
        self._place_word = "word"
        num_bytes = 4 * header.dim
        self._require_room(header, num_bytes + 1)
        self._allocate(header.num_words, header.dim)
        buffer, at = b"", 0
        for number in range(1, header.num_words + 1):
            if len(self._words) == len(self._vectors_VD):
                break
            end = buffer.find(b" ", at)
            if end < 0 or len(buffer) < end + 1 + num_bytes:
                buffer, at = buffer[at:] + self._stream.read(CHUNK + num_bytes), 0
                end = buffer.find(b" ")
            if end < 0 or len(buffer) < end + 1 + num_bytes:
                self._fail(number, f"is cut off; the first line states {header.num_words:,} words")
            word = buffer[at:end].lstrip(b"\n")
            if not word:
                self._fail(number, "is empty")
            self._add(word, np.frombuffer(buffer, "<f4", header.dim, end + 1), number)
            at = end + 1 + num_bytes
        rest = (buffer[at:] + self._stream.read(CHUNK)).strip()
        if self._wanted is None and rest:
            self._fail(header.num_words, f"is the last that the first line states; {_more(rest)}")

    _place_word = "line"

    def _place(self, number: int) -> str:
        return f"{self._place_word} {number:,}"

    def _fail(self, number: int, problem: str) -> NoReturn:
        raise InputError(f"{self._name}, {self._place(number)}: {problem}")


class _Again(io.RawIOBase):
    """A stream that begins with bytes that were read from it already."""

    def __init__(self, start: bytes, rest: IO[bytes] | _Again) -> None:
        super().__init__()
        self._start, self._rest = io.BytesIO(start), rest

    def read(self, size: int = -1) -> bytes:
        data = self._start.read(size)
        return data + self._rest.read(size - len(data) if size >= 0 else -1)

    def readline(self, size: int | None = -1, /) -> bytes:
        size = -1 if size is None else size
        line = self._start.readline(size)
        if line.endswith(b"\n") or len(line) == size:
            return line
        return line + self._rest.readline(size - len(line) if size >= 0 else -1)


def _more(rest: bytes) -> str:
    return f"{len(rest):,}{' or more' if len(rest) >= CHUNK else ''} bytes follow"


def _without_blank_end(lines: list[bytes]) -> list[bytes]:
    kept = len(lines)
    while kept and not lines[kept - 1].strip():
        kept -= 1
    return lines[:kept]


def _parsed(rests: list[bytes]) -> NDArray[np.float32] | None:
    """Return the numbers of some lines, or None if some are not numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.fromstring(b" ".join(rests), np.float32, sep=" ")
        except (DeprecationWarning, ValueError):
            return None


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return b"_" not in field  # Python's own thousands separator


def _shown(text: bytes) -> str:
    return f"'{sanitise(text.strip(), 40)}'"
