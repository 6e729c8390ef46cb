"""Text from outside made safe to print: on a terminal, in a log, in a table, in a record."""

from __future__ import annotations


def sanitise(text: str | bytes, max_length: int = 120) -> str:
    r"""Return `text` on one line of at most `max_length` characters, safe for any terminal.

    Control, bidirectional and other invisible characters, line ends and bytes that are not UTF-8
    become escapes such as \x1b or \u202e. The middle of a long text becomes an ellipsis. Markup
    (HTML, rich, LaTeX) is unchanged: whoever prints it escapes it.

    >>> sanitise(b"caf\xe9.png")
    'caf\\xe9.png'
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escape(char) for char in text)
    if len(text) > max_length:
        head = (max_length - 1) * 2 // 3
        text = f"{text[:head]}…{text[len(text) - (max_length - 1 - head) :]}"
    return text


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as surrogateescape stores it
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
