"""Programs that are no verb: wrong words end as everywhere else."""

from __future__ import annotations

import pytest

from bench.errors import EXIT_USAGE
from bench.runtime.command_parser import CommandParser


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
