"""File names chosen by somebody else: which are safe to print, and which ones to ignore."""

from __future__ import annotations

DROPPINGS = {b".DS_Store", b"Thumbs.db", b"desktop.ini", b"__MACOSX"}


def is_clean(name: bytes) -> bool:
    """Return whether a name is UTF-8 and has no character that `sanitise` would escape."""
    try:
        return name.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


def is_dropping(path: bytes) -> bool:
    """Return whether an operating system left this path behind (`.DS_Store`, `._name`, ...)."""
    if b"/" not in path:
        return path in DROPPINGS or path.startswith(b"._")
    return any(part in DROPPINGS or part.startswith(b"._") for part in path.split(b"/"))
