"""Word vectors from an npz archive with the arrays `words` and `vectors`, without pickle."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.embeddings.table import DUPLICATE, MAX_DIM, EmbeddingTable
from bench.errors import InputError, NothingFoundError, reason_of
from bench.runtime import npz
from bench.runtime.printable import sanitise

CHUNK = 4 << 20  # bytes that are read at once


def read_archive(path: Path, name: str, num_words: int | None, *, lenient: bool) -> EmbeddingTable:
    """Read the arrays `words` and `vectors` one after the other, without a copy of the archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            words_V = _member(archive, "words", name)
            vectors_VD = _member(archive, "vectors", name)
    except npz.UNREADABLE as error:
        raise InputError(f"{name}: not a readable npz archive: {reason_of(error)}") from error
    if words_V.ndim != 1 or words_V.dtype.kind not in "US":
        raise InputError(f"{name}: words must be a list of text, got {words_V.dtype}")
    if vectors_VD.dtype.kind not in "fiu" or vectors_VD.ndim != 2:
        raise InputError(
            f"{name}: vectors must be numbers of shape words x dimensions, got {vectors_VD.dtype} "
            f"of shape {vectors_VD.shape}"
        )
    if vectors_VD.shape[1] > MAX_DIM:
        raise InputError(f"{name}: {vectors_VD.shape[1]:,} dimensions; at most {MAX_DIM:,}")
    if not len(words_V):
        raise NothingFoundError(f"{name}: no words; the arrays are empty")
    with np.errstate(over="ignore"):  # becomes infinite, which is refused
        numbers_VD = vectors_VD[:num_words].astype(np.float32, copy=False)
    words = _decoded(words_V[:num_words], name)
    skipped: dict[str, int] = {}
    if lenient and len(set(words)) < len(words):
        kept = sorted({word: row for row, word in reversed(list(enumerate(words)))}.values())
        skipped[DUPLICATE] = len(words) - len(kept)
        words, numbers_VD = [words[row] for row in kept], numbers_VD[kept]
    return EmbeddingTable(words, numbers_VD, name=name, skipped=skipped)


def _decoded(words_V: NDArray[np.generic], name: str) -> list[str]:
    words: list[Any] = words_V.tolist()
    if words_V.dtype.kind == "U":
        return words
    try:
        return [word.decode("utf-8") for word in words]
    except UnicodeDecodeError as error:
        row = next(r for r, word in enumerate(words) if not _is_utf8(word))
        raise InputError(f"{name}: word {row + 1:,} is not UTF-8") from error


def _is_utf8(word: bytes) -> bool:
    try:
        word.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _member(archive: zipfile.ZipFile, array: str, name: str) -> NDArray[np.generic]:
    """Return one array. Raises `InputError`, and one of `npz.UNREADABLE`."""
    names = archive.namelist()
    if f"{array}.npy" not in names:
        found = ", ".join(sanitise(one.removesuffix(".npy")) for one in names[:5]) or "nothing"
        raise InputError(f"{name}: expected the arrays words and vectors, found {found}")
    info = archive.getinfo(f"{array}.npy")
    if info.file_size > max(npz.RATIO_FREE_BYTES, npz.MAX_RATIO * info.compress_size):
        raise InputError(
            f"{name}: array {array!r}: {info.compress_size:,} bytes that claim to inflate to "
            f"{info.file_size:,}"
        )
    with archive.open(info) as stream:
        header = npz.read_npy_header(stream.read(npz.MAX_HEADER_BYTES))
    if header.dtype.hasobject:
        raise InputError(f"{name}: array {array!r} holds Python objects; loading could run code")
    header.require_bytes(info.file_size)
    flat = np.empty(math.prod(header.shape), header.dtype)
    view_B = flat.view(np.uint8)
    with archive.open(info) as stream:
        stream.read(header.num_bytes)
        at = 0
        while chunk := stream.read(CHUNK):
            view_B[at : at + len(chunk)] = np.frombuffer(chunk, np.uint8)
            at += len(chunk)
    return flat.reshape(header.shape, order="F" if header.fortran_order else "C")
