"""The parser of programs run by `python -m`, and the check of an output folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import EXIT_USAGE, UsageError
from bench.runtime.terminal import CommandParser, require_writable


def test_wrong_words_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    parser = CommandParser(prog="study")
    parser.add_argument("--seeds", type=int)
    assert parser.parse_args(["--seeds", "3"]).seeds == 3
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(["--seeds", "x"])
    assert caught.value.code == EXIT_USAGE
    shown = capsys.readouterr()
    assert "study: argument --seeds: invalid int value: 'x'" in shown.err
    assert "usage: study" in shown.err


def test_help_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        CommandParser(prog="study", description="What it does.").parse_args(["--help"])
    assert caught.value.code == 0
    assert "What it does." in capsys.readouterr().out


def test_a_folder_for_results_is_made_and_left_empty(tmp_path: Path) -> None:
    require_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_file_where_a_folder_should_be_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(UsageError, match=r"taken: pages cannot be written there: .*exists"):
        require_writable(tmp_path / "taken", "pages")
