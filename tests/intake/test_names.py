from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.intake.names import is_clean, is_dropping
from bench.runtime.printable import sanitise


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0001.png", "0001.png"),
        ("Übung é 日本.png", "Übung é 日本.png"),
        ("a\x1b[31mred.png", r"a\x1b[31mred.png"),
        ("line\nend", r"line\x0aend"),
        ("a\u202egnp.exe", r"a\u202egnp.exe"),  # right-to-left override
        (b"caf\xe9.png", r"caf\xe9.png"),  # Latin-1, not UTF-8
        ("caf\udce9.png", r"caf\xe9.png"),  # the same as os.fsdecode gives it
        ("\U000e0041", r"\U000e0041"),  # a tag character
        ("[/red]<script>$HOME=1+1.png", "[/red]<script>$HOME=1+1.png"),  # each sink escapes its own
    ],
)
def test_sanitise(text, expected):
    assert sanitise(text) == expected


def test_sanitise_caps_the_length_and_keeps_both_ends():
    # 20 characters: 12 of the head, the ellipsis, 7 of the tail.
    assert sanitise("a" * 50 + "0000.png", 20) == "a" * 12 + "…" + "000.png"


@given(st.one_of(st.text(), st.binary()))
def test_sanitised_text_is_printable_encodable_and_short(text):
    clean = sanitise(text, 40)
    assert clean.isprintable()
    assert len(clean) <= 40
    clean.encode("utf-8")


def test_clean_names_and_droppings():
    assert is_clean(b"0001.png")
    assert not is_clean(b"\xff.png")
    assert not is_clean(b"a\x07.png")
    for name in (b".DS_Store", b"Thumbs.db", b"desktop.ini", b"._0001.png", b"__MACOSX/a/._b.png"):
        assert is_dropping(name)
    assert not is_dropping(b"samples/0001.png")
