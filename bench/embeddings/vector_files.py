"""Read and write files of word vectors. The format is found from the content, not from the name.

    word2vec text   a line "words dimensions", then a word and its numbers on each line
    fastText .vec   the same
    GloVe text      the same without the first line
    word2vec bin    the line "words dimensions", then a word, a space and float32 little endian
    npz             an archive with the arrays `words` and `vectors`; nothing is unpickled

Any of them but npz may be compressed with gzip. A table of V words and D dimensions takes 4 V D
bytes while it is read, since the numbers go straight to their place.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from bench.embeddings.table import EmbeddingTable
from bench.embeddings.table_archive import read_archive
from bench.embeddings.table_reader import TableReader, opened
from bench.errors import InputError, UsageError, reason_of
from bench.runtime.npz import arrays_to_bytes
from bench.runtime.printable import sanitise
from bench.runtime.whole_files import write_atomically

GZIP, ZIP = b"\x1f\x8b", b"PK"


def read_embeddings(
    path: str | Path, *, num_words: int | None = None, lenient: bool = False
) -> EmbeddingTable:
    r"""Return the table in a file of any of the formats above.

    `num_words` reads only the first words. With `lenient`, a word that repeats or is not UTF-8 is
    left out and counted in `skipped`; some published tables hold such words. Raises `InputError`
    with the line for a file that is damaged, ragged or holds a number that is not finite,
    `NothingFoundError` for one without words, and `UsageError` for one that cannot be opened.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "vectors.txt"
    >>> _ = file.write_text("cat 1 0\ndog 0.8 0.6\n")
    >>> read_embeddings(file).words
    ['cat', 'dog']
    """
    path = Path(path)
    name = sanitise(path.name)
    if num_words is not None and num_words < 1:
        raise UsageError(f"number of words must be at least 1, got {num_words}")
    try:
        with path.open("rb") as stream:
            start = stream.read(len(GZIP))
        if start == ZIP:
            return read_archive(path, name, num_words, lenient=lenient)
        with opened(path, compressed=start == GZIP) as file:
            return TableReader(file, path, name, num_words, lenient=lenient).table()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{name}: the gzip data is damaged: {error}") from error
    except OSError as error:
        raise UsageError(f"{sanitise(str(path))}: {reason_of(error)}; name a file") from error
    except MemoryError as error:
        raise InputError(f"{name}: the table does not fit in memory; read fewer words") from error


def write_embeddings(table: EmbeddingTable, path: str | Path) -> None:
    """Write a table in the format of the suffix: .txt and .vec (word2vec text), .bin, .npz.

    Numbers of text files have 9 digits, which float32 numbers survive. Raises `UsageError` for
    another suffix, and for words that a format cannot hold.
    """
    path = Path(path)
    require_suffix(path)
    try:
        write_atomically(path, _WRITERS[path.suffix](table))
    except OSError as error:
        raise UsageError(f"{sanitise(str(path))}: {reason_of(error)}") from error


def require_suffix(path: Path) -> None:
    """Raise `UsageError` unless the name of a file to write says its format."""
    if path.suffix not in _WRITERS:
        raise UsageError(
            f"{sanitise(path.name)}: cannot tell the format; end the name in {', '.join(_WRITERS)}"
        )


def _text_bytes(table: EmbeddingTable) -> bytes:
    lines = [f"{len(table)} {table.dim}"]
    for word, vector_D in zip(_plain(table), table.vectors, strict=True):
        lines.append(f"{word} {' '.join(f'{value:.9g}' for value in vector_D.tolist())}")
    return ("\n".join(lines) + "\n").encode()


def _binary_bytes(table: EmbeddingTable) -> bytes:
    little_VD = table.vectors.astype("<f4", copy=False)
    rows = (
        word.encode() + b" " + vector_D.tobytes() + b"\n"
        for word, vector_D in zip(_plain(table), little_VD, strict=True)
    )
    return f"{len(table)} {table.dim}\n".encode() + b"".join(rows)


def _npz_bytes(table: EmbeddingTable) -> bytes:
    return arrays_to_bytes({"words": np.array(table.words), "vectors": table.vectors})


def _plain(table: EmbeddingTable) -> list[str]:
    """Return the words. Raises `UsageError` for one with white space: it would not be read back."""
    for word in table.words:
        if word.encode().split() != [word.encode()]:
            raise UsageError(
                f"the word {sanitise(word)!r} is empty or has white space; write an .npz file"
            )
    return table.words


_WRITERS = {".txt": _text_bytes, ".vec": _text_bytes, ".bin": _binary_bytes, ".npz": _npz_bytes}
