"""A text as numbers of words, for training.

A word is a run of letters and digits, with apostrophes and hyphens inside, in lower case. A
paragraph ends at an empty line; lines in between belong together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, NothingFoundError, UsageError, reason_of
from bench.runtime.printable import sanitise

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


class Corpus(NamedTuple):
    """The words that occur often enough, most frequent first, their counts int64 V, and the text:
    word numbers int32 N and the number of each word's paragraph, int32 N. Rare words are left out
    of the text; `num_tokens` counts them too.
    """

    words: list[str]
    counts: NDArray[np.int64]
    tokens: NDArray[np.int32]
    paragraphs: NDArray[np.int32]
    num_tokens: int


def read_corpus(path: str | Path, *, min_count: int = 5) -> Corpus:
    """Return the words of a UTF-8 text file that occur `min_count` times or more.

    Words of equal counts are in alphabetical order. Raises `InputError` with the line for bytes
    that are not UTF-8, `NothingFoundError` if fewer than two words are frequent enough, and
    `UsageError` for a file that cannot be opened.
    """
    path = Path(path)
    name = sanitise(path.name)
    if min_count < 1:
        raise UsageError(f"smallest count must be at least 1, got {min_count}")
    numbers: dict[str, int] = {}
    tokens: list[int] = []
    paragraphs: list[int] = []
    paragraph = 0
    try:
        for line in _lines(path, name):
            if not line.strip():
                paragraph += 1
                continue
            for word in WORD.findall(line.lower()):
                tokens.append(numbers.setdefault(word, len(numbers)))
                paragraphs.append(paragraph)
    except OSError as error:
        raise UsageError(f"{sanitise(str(path))}: {reason_of(error)}; name a file") from error
    counts = Counter(tokens)
    frequent = sorted(
        (word for word, number in numbers.items() if counts[number] >= min_count),
        key=lambda word: (-counts[numbers[word]], word),
    )
    if len(frequent) < 2:
        raise NothingFoundError(
            f"{name}: {len(frequent)} words occur {min_count} times or more, of {len(tokens):,} in "
            "all; training needs two. Use a longer text or a smaller --min-count"
        )
    new = np.full(len(numbers), -1, np.int32)
    new[[numbers[word] for word in frequent]] = np.arange(len(frequent), dtype=np.int32)
    tokens_N = new[np.array(tokens, np.int64)]
    kept = tokens_N >= 0
    return Corpus(
        frequent,
        np.array([counts[numbers[word]] for word in frequent], np.int64),
        tokens_N[kept],
        np.array(paragraphs, np.int32)[kept],
        len(tokens),
    )


def _lines(path: Path, name: str) -> Iterator[str]:
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            try:
                yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{name}, line {number:,}: not UTF-8; save the file as UTF-8"
                ) from error
