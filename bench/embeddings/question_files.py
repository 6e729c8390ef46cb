"""Files of analogies and of word pairs, in the forms that word2vec and MUSE use.

Analogies are lines "Athens Greece Baghdad Iraq" under lines ": capitals". A dictionary has lines
"house Haus", one for each translation of a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.errors import InputError, NothingFoundError, UsageError, reason_of
from bench.runtime.printable import sanitise

UNNAMED = "questions"  # section of the questions above the first line with a colon


class Question(NamedTuple):
    """`a` is to `b` as `c` is to `d`, which is the answer."""

    section: str
    a: str
    b: str
    c: str
    d: str


class Pair(NamedTuple):
    """A word and one of its translations."""

    source: str
    target: str


def read_analogies(path: str | Path, *, lowercase: bool = False) -> list[Question]:
    r"""Return the questions of a file: lines of four words under lines ": section".

    Raises `InputError` with the line, `NothingFoundError` for a file without questions, and
    `UsageError` for one that cannot be opened.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "questions.txt"
    >>> _ = file.write_text(": capitals\nAthens Greece Oslo Norway\n")
    >>> read_analogies(file)
    [Question(section='capitals', a='Athens', b='Greece', c='Oslo', d='Norway')]
    """
    section, found = UNNAMED, []
    for where, line in _lines(Path(path), lowercase=lowercase):
        if line.startswith(":"):
            section = sanitise(line.removeprefix(":").strip())
            if not section:
                raise InputError(f"{where}: expected the name of a section after the colon")
            continue
        words = line.split()
        if len(words) != 4:
            raise InputError(
                f'{where}: expected four words or ": section", found {len(words)} words: '
                f"{sanitise(line, 60)!r}"
            )
        found.append(Question(section, *words))
    if not found:
        raise NothingFoundError(f"{sanitise(Path(path).name)}: no questions")
    return found


def read_dictionary(path: str | Path, *, lowercase: bool = False) -> list[Pair]:
    """Return the pairs of a file: a word and its translation on each line.

    A word with several translations has a line for each. Errors are those of `read_analogies`.
    """
    found = []
    for where, line in _lines(Path(path), lowercase=lowercase):
        words = line.split()
        if len(words) != 2:
            raise InputError(
                f"{where}: expected a word and its translation, found {len(words)} words: "
                f"{sanitise(line, 60)!r}"
            )
        found.append(Pair(*words))
    if not found:
        raise NothingFoundError(f"{sanitise(Path(path).name)}: no pairs of words")
    return list(dict.fromkeys(found))


def _lines(path: Path, *, lowercase: bool) -> Iterator[tuple[str, str]]:
    """Yield the place and the text of every line that is not blank."""
    name = sanitise(path.name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{sanitise(str(path))}: {reason_of(error)}; name a file") from error
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        where = f"{name}, line {number:,}"
        try:
            line = raw.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise InputError(f"{where}: not UTF-8; save the file as UTF-8") from error
        if line:
            yield where, line.lower() if lowercase else line
