"""File names chosen by somebody else: which are safe to print, which ones to ignore, and names of
arrays in npz files.
"""

from __future__ import annotations

from pathlib import Path

DROPPINGS = {b".DS_Store", b"Thumbs.db", b"desktop.ini", b"__MACOSX", b".ipynb_checkpoints"}


def is_clean(name: bytes) -> bool:
    """Return whether a name is UTF-8 and has no character that `sanitise` would escape."""
    try:
        return name.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


def is_dropping(path: bytes) -> bool:
    """Return whether an operating system or a notebook left this path behind (`.DS_Store`,
    `._name`, `.ipynb_checkpoints`, ...).
    """
    if b"/" not in path:
        return path in DROPPINGS or path.startswith(b"._")
    return any(part in DROPPINGS or part.startswith(b"._") for part in path.split(b"/"))


def split_array_name(path: str | Path) -> tuple[Path, str | None]:
    """Return the file and the name of the array of `FILE.npz:NAME`; None for any other path.

    A file that is really called so is meant as such.

    >>> split_array_name("digits.npz:x_test")
    (PosixPath('digits.npz'), 'x_test')
    """
    file, colon, name = str(path).rpartition(":")
    if not (colon and name and file.lower().endswith(".npz")) or Path(path).exists():
        return Path(path), None
    return Path(file), name
