"""Text from outside stays text in spreadsheets, LaTeX and Markdown."""

from __future__ import annotations

import re

import pytest

from bench.tables.escaping import csv_cell, html_text, latex_text, markdown_text


def test_latex_specials() -> None:
    assert latex_text(r"a_b & 50% \x {y} ~^#$") == (
        r"a\_b \& 50\% \textbackslash{}x \{y\} \textasciitilde{}\textasciicircum{}\#\$"
    )
    assert "\n" not in latex_text("a\nb")


def test_markdown_specials() -> None:
    text = markdown_text("a|b <img> [x](http://y) *z* `c`\n# d & @e")
    assert "\n" not in text
    for mark in "|<>[]*`#":
        assert re.search(rf"(?<!\\){re.escape(mark)}", text.replace("&#", "")) is None
    assert "://" not in text
    assert "@" not in text


@pytest.mark.parametrize("escape", [csv_cell, html_text, latex_text, markdown_text])
def test_what_a_terminal_acts_upon_is_text(escape) -> None:  # type: ignore[no-untyped-def]
    text = escape("a\x1b[2Jb\x9b31mc\u202ed\x07")
    assert text.isprintable()
    assert text.startswith("a")
    assert "x1b" in text
