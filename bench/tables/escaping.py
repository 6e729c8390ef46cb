"""Text from outside made safe for spreadsheets, LaTeX and Markdown, and tables in Markdown."""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Iterable, Sequence

from bench.runtime.printable import sanitise

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "≈": r"$\approx$",
}


def one_line(text: str) -> str:
    r"""Return text with every run of white space replaced by one space, and other characters that
    a terminal would act upon as escapes.

    >>> one_line("a\n b\x1b[2J")
    'a b\\x1b[2J'
    """
    return sanitise(" ".join(text.split()), sys.maxsize)


def csv_cell(text: str) -> str:
    """Return text on one line that a spreadsheet does not run as a formula.

    >>> csv_cell("=1+1"), csv_cell("a=1")
    ("'=1+1", 'a=1')
    """
    line = sanitise(text.replace("\r", " ").replace("\n", " "), sys.maxsize)
    return f"'{line}" if text.startswith(FORMULA_STARTS) else line


def latex_text(text: str) -> str:
    r"""Return text on one line with LaTeX's special characters escaped.

    >>> latex_text("a_b & 50%")
    'a\\_b \\& 50\\%'
    """
    return "".join(_LATEX.get(character, character) for character in one_line(text))


def html_text(text: str) -> str:
    """Return text on one line with HTML's special characters escaped.

    >>> html_text("a < b")
    'a &lt; b'
    """
    return html.escape(one_line(text))


def markdown_text(text: str) -> str:
    r"""Return text on one line that Markdown shows as it is: no table bars, HTML tags, links,
    mentions or emphasis.

    >>> markdown_text("a|b *c*")
    'a\\|b \\*c\\*'
    """
    escaped = re.sub(r"([\\`*_{}\[\]<>|#~!])", r"\\\1", one_line(text))
    return escaped.replace("&", "&amp;").replace("@", "&#64;").replace("://", ":&#47;/")


def markdown_table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, num_text: int = 1
) -> list[str]:
    """Return the lines of a Markdown table: `num_text` columns aligned left, the others right.

    Cells are Markdown already: escape text from outside with `markdown_text`.

    >>> markdown_table(["metric", "value"], [["fid", "2.5"]])
    ['| metric | value |', '|---|---:|', '| fid | 2.5 |']
    """
    rule = "---|" * num_text + "---:|" * (len(heads) - num_text)
    return [f"| {' | '.join(heads)} |", f"|{rule}", *(f"| {' | '.join(row)} |" for row in rows)]
