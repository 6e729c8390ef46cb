"""Files of word vectors: every format gives the same table, and damage is named with its place."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from bench.embeddings.table import EmbeddingTable
from bench.embeddings.vector_files import read_embeddings, write_embeddings
from bench.errors import InputError, LatentbenchError, NothingFoundError, UsageError
from bench.runtime.npz import arrays_to_bytes

WORDS = ["the", "naïve", "日本", "a-b", "1999"]
VECTORS = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32) * 1e-3


def write(folder: Path, data: str | bytes, name: str = "v.txt") -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.fixture
def table() -> EmbeddingTable:
    return EmbeddingTable(WORDS, VECTORS)


def assert_same(found: EmbeddingTable) -> None:
    assert found.words == WORDS
    np.testing.assert_array_equal(found.vectors, VECTORS)  # to the bit


@pytest.mark.parametrize("suffix", [".txt", ".vec", ".bin", ".npz"])
def test_a_written_table_is_read_back(suffix: str, tmp_path: Path, table: EmbeddingTable) -> None:
    write_embeddings(table, tmp_path / f"t{suffix}")
    assert_same(read_embeddings(tmp_path / f"t{suffix}"))


@pytest.mark.parametrize("suffix", [".txt", ".bin"])
def test_gzip(suffix: str, tmp_path: Path, table: EmbeddingTable) -> None:
    write_embeddings(table, tmp_path / f"t{suffix}")
    packed = gzip.compress((tmp_path / f"t{suffix}").read_bytes())
    assert_same(read_embeddings(write(tmp_path, packed, "t.gz")))
    with pytest.raises(InputError, match="gzip data is damaged"):
        read_embeddings(write(tmp_path, packed[:-9], "t.gz"))


@pytest.mark.parametrize("end", ["\n", " \n", "\r\n", "\n\n\n"])
def test_glove_has_no_first_line(end: str, tmp_path: Path, table: EmbeddingTable) -> None:
    r"""fastText ends lines with a space, Windows with \r\n."""
    write_embeddings(table, tmp_path / "t.txt")
    lines = (tmp_path / "t.txt").read_text().splitlines()
    text = "\n".join(lines[1:]) + end
    assert_same(read_embeddings(write(tmp_path, text)))
    for joint in ("  ", "\t", " \t"):
        assert_same(read_embeddings(write(tmp_path, text.replace(" ", joint))))
    assert_same(read_embeddings(write(tmp_path, "﻿" + text.replace("\n", end.rstrip("\n") + "\n"))))


def test_binary_without_line_ends_as_gensim_writes_it(tmp_path: Path) -> None:
    rows = [word.encode() + b" " + row.tobytes() for word, row in zip(WORDS, VECTORS, strict=True)]
    assert_same(read_embeddings(write(tmp_path, b"5 4\n" + b"".join(rows), "v.bin")))


def test_words_of_glove_may_hold_spaces(tmp_path: Path) -> None:
    found = read_embeddings(write(tmp_path, ". . . 0.5 1\nat mail 2 3\nx 4 5\n"))
    assert found.words == [". . .", "at mail", "x"]
    assert found.vectors.tolist() == [[0.5, 1], [2, 3], [4, 5]]


def test_the_first_words_only(tmp_path: Path, table: EmbeddingTable) -> None:
    for suffix in (".txt", ".bin", ".npz"):
        write_embeddings(table, tmp_path / f"t{suffix}")
        found = read_embeddings(tmp_path / f"t{suffix}", num_words=2)
        assert found.words == WORDS[:2]
        assert found.vectors.shape == (2, 4)
    with pytest.raises(UsageError, match="at least 1, got 0"):
        read_embeddings(tmp_path / "t.txt", num_words=0)


def test_many_lines_are_read_in_batches(tmp_path: Path) -> None:
    vectors = np.arange(3 * 1500, dtype=np.float32).reshape(1500, 3) / 7
    words = [f"w{number}" for number in range(1500)]
    write_embeddings(EmbeddingTable(words, vectors), tmp_path / "t.txt")
    found = read_embeddings(tmp_path / "t.txt")
    assert found.words == words
    np.testing.assert_array_equal(found.vectors, vectors)
    lines = (tmp_path / "t.txt").read_text().splitlines()
    lines[1200] = "broken 1 x 3"
    with pytest.raises(InputError, match=r"v.txt, line 1,201: 'x' is no number"):
        read_embeddings(write(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1 2\nb 3\n", "line 2: expected a word and 2 numbers, found 1 after it"),
        ("a 1 2\nb 3 4 5\n", "line 2: expected a word and 2 numbers, found 3 after it"),
        ("2 3\na 1 2 3\nb 1 2\n", "line 3: expected a word and 3 numbers, found 2 after it"),
        ("a 1 2\nb 3 x\n", "line 2: 'x' is no number"),
        ("a 1 2\nb 1_0 2\n", "line 2: '1_0' is no number"),
        ("a 1 2\nb 1 2-3\n", "line 2: '2-3' is no number"),
        ("a 1 2\nb nan 4\n", "line 2: word 'b' has a number that is not finite"),
        ("a 1 2\nb 1 1e39\n", "line 2: word 'b' has a number that is not finite"),
        ("a 1 2\nb 3 4\na 5 6\n", "line 3: repeats the word 'a' of line 1"),
        ("3 2\na 1 2\nb 3 4\n", "line 1: states 3 words, 2 follow"),
        ("1 2\na 1 2\nb 3 4\n", "line 3: follows the 1 words that the first line states"),
        ("a 1 2\n\nb 3 4\n", "line 2: is empty; remove it"),
        ("9999999 300\na 1 2\n", "line 1: states 9,999,999 words of 300 dimensions, but the file"),
        ("5 999999999\na 1 2\n", "line 1: states 5 words of 999,999,999 dimensions; at most"),
        ("5 0\n", "line 1: states 5 words of 0 dimensions"),
        ("\na 1 2\n", "line 1: expected a word and its numbers, found ''"),
        ("hello\n", "line 1: expected a word and its numbers, found 'hello'"),
        ("this is text\n", "line 1: expected a word and its numbers"),
        (b"a 1 2\n\xff\xfe 3 4\n", r"line 2: word '\\xff\\xfe' is not UTF-8"),
    ],
)
def test_damaged_text(text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^v.txt, {message}"):
        read_embeddings(write(tmp_path, text))


def test_damaged_binary(tmp_path: Path, table: EmbeddingTable) -> None:
    write_embeddings(table, tmp_path / "t.bin")
    data = (tmp_path / "t.bin").read_bytes()
    with pytest.raises(InputError, match="word 5: is cut off; the first line states 5 words"):
        read_embeddings(write(tmp_path, data[:-3]))
    with pytest.raises(InputError, match="word 5: is the last that .* 4 bytes follow"):
        read_embeddings(write(tmp_path, data + b"more"))
    huge = data.replace(b"5 4\n", b"90000000 4\n")
    with pytest.raises(InputError, match="line 1: states 90,000,000 words|word 1: states"):
        read_embeddings(write(tmp_path, huge))
    nan = np.full(4, np.nan, "<f4").tobytes()
    with pytest.raises(InputError, match=r"row 1 \('the'\) has a value that is not finite"):
        read_embeddings(write(tmp_path, data.replace(VECTORS[0].tobytes(), nan)))
    with pytest.raises(InputError, match="word 5: repeats the word 'the' of word 1"):
        read_embeddings(write(tmp_path, data.replace(b"1999", b"the")))


@pytest.mark.parametrize("data", [b"", b"\n", b"0 5\n", b"3 2\n"])
def test_no_words(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(LatentbenchError, match="no words|states 0 words|has room for 0"):
        read_embeddings(write(tmp_path, data))


def test_a_lenient_reader_counts_what_it_leaves_out(tmp_path: Path) -> None:
    data = b"4 2\na 1 2\na 9 9\n\xff 3 4\nb 5 6\n"
    found = read_embeddings(write(tmp_path, data), lenient=True)
    assert found.words == ["a", "b"]
    assert found.vectors.tolist() == [[1, 2], [5, 6]]
    assert found.skipped == {"duplicate words": 1, "words that are not UTF-8": 1}
    packed = arrays_to_bytes({"words": np.array(["a", "b", "a"]), "vectors": np.eye(3)})
    found = read_embeddings(write(tmp_path, packed), lenient=True)
    assert (found.words, found.skipped) == (["a", "b"], {"duplicate words": 1})
    assert found.vectors.tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.eye(2)}, "expected the arrays words and vectors, found x"),
        ({"words": np.arange(2), "vectors": np.eye(2)}, "words must be a list of text"),
        ({"words": np.array(["a", "b"]), "vectors": np.array(["1", "2"])}, "must be numbers"),
        ({"words": np.array(["a"]), "vectors": np.eye(2)}, "1 words and 2 vectors"),
        ({"words": np.array(["a", "a"]), "vectors": np.eye(2)}, "'a' has several rows"),
        (
            {"words": np.array(["a", "b"]), "vectors": np.full((2, 2), np.inf)},
            "row 1 .* not finite",
        ),
        ({"words": np.array([b"a", b"\xff"]), "vectors": np.eye(2)}, "word 2 is not UTF-8"),
        ({"words": np.array(["a", "b"]), "vectors": np.eye(2)[:, :0]}, "at least one of each"),
    ],
)
def test_damaged_npz(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    with np.errstate(invalid="ignore"), pytest.raises(InputError, match=message):
        read_embeddings(write(tmp_path, arrays_to_bytes(arrays), "v.npz"))


def test_an_npz_without_words_and_one_that_is_cut_off(tmp_path: Path) -> None:
    empty = arrays_to_bytes({"words": np.zeros(0, "U1"), "vectors": np.zeros((0, 3))})
    with pytest.raises(NothingFoundError, match="no words"):
        read_embeddings(write(tmp_path, empty, "v.npz"))
    with pytest.raises(InputError, match="not a readable npz archive"):
        read_embeddings(write(tmp_path, empty[:-30], "v.npz"))
    pickled = tmp_path / "p.npz"
    np.savez(pickled, words=np.array(["a", None]), vectors=np.eye(2))
    with pytest.raises(InputError, match="Python objects"):
        read_embeddings(pickled)


def test_files_that_cannot_be_opened_or_named(tmp_path: Path, table: EmbeddingTable) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_embeddings(tmp_path / "missing.txt")
    with pytest.raises(UsageError, match="Is a directory"):
        read_embeddings(tmp_path)
    with pytest.raises(UsageError, match=r"end the name in \.txt, \.vec, \.bin, \.npz"):
        write_embeddings(table, tmp_path / "t.csv")
    spaced = EmbeddingTable(["a b"], np.ones((1, 2), np.float32))
    with pytest.raises(UsageError, match="'a b' is empty or has white space"):
        write_embeddings(spaced, tmp_path / "t.txt")
    write_embeddings(spaced, tmp_path / "t.npz")
    assert read_embeddings(tmp_path / "t.npz").words == ["a b"]
