"""Plain tables fit the terminal; findings go to stderr, and nothing is markup."""

from __future__ import annotations

import pytest
from rich.console import Console

from bench.intake import Finding
from bench.tables.console import print_findings, print_rows


@pytest.mark.parametrize("width", [80, 120])
def test_a_narrow_terminal_omits_the_last_column(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    monkeypatch.setattr("bench.tables.console.console", lambda **_: Console(width=width))
    print_rows(["name", "source"], [["fid", "Heusel 2017"]])
    out = capsys.readouterr().out
    assert "fid" in out
    assert ("Heusel" in out) == (width == 120)


def test_a_finding_is_printed_with_names_and_fix(capsys: pytest.CaptureFixture[str]) -> None:
    print_findings([Finding("broken", "error", 1200, ("[bold]a.png",), "not an image", "save it")])
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line.strip() for line in captured.err.splitlines()]
    assert lines == ["error broken (1,200): not an image", "[bold]a.png, ...", "fix: save it"]
