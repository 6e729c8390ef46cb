"""Files of questions and of word pairs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.embeddings.question_files import Pair, Question, read_analogies, read_dictionary
from bench.errors import InputError, NothingFoundError, UsageError


def write(folder: Path, data: str | bytes) -> Path:
    path = folder / "q.txt"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_sections_and_case(tmp_path: Path) -> None:
    path = write(tmp_path, "﻿A b c d\n\n: family members\r\nhe she king Queen\r\n:x\na b c d\n")
    first, second, third = read_analogies(path)
    assert first == Question("questions", "A", "b", "c", "d")
    assert second == Question("family members", "he", "she", "king", "Queen")
    assert third.section == "x"
    assert read_analogies(path, lowercase=True)[1].d == "queen"


def test_a_word_may_have_several_translations(tmp_path: Path) -> None:
    path = write(tmp_path, "house Haus\nhouse\tGebäude\nhouse Haus\n")
    assert read_dictionary(path) == [Pair("house", "Haus"), Pair("house", "Gebäude")]
    assert read_dictionary(path, lowercase=True)[0].target == "haus"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a b c d\na b c\n", 'line 2: expected four words or ": section", found 3 words'),
        (": s\na b c d e\n", "line 2: .*found 5 words"),
        (":\na b c d\n", "line 1: expected the name of a section"),
        (b"a b c d\n\xe9 b c d\n", "line 2: not UTF-8"),
    ],
)
def test_damaged_questions(data: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^q.txt, {message}"):
        read_analogies(write(tmp_path, data))


def test_other_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 1: expected a word and its translation"):
        read_dictionary(write(tmp_path, "one\n"))
    with pytest.raises(NothingFoundError, match="no questions"):
        read_analogies(write(tmp_path, ": only a section\n"))
    with pytest.raises(NothingFoundError, match="no pairs"):
        read_dictionary(write(tmp_path, "\n\n"))
    with pytest.raises(UsageError, match="No such file"):
        read_analogies(tmp_path / "missing")
