"""Where text for people goes: a terminal as wide as it is, a pipe or a log with room enough."""

from __future__ import annotations

import sys
from typing import TextIO

from rich.console import Console

PIPE_WIDTH = 140  # a pipe or a log has no width of its own: give tables the room that they need


def console(*, stderr: bool = False, file: TextIO | None = None) -> Console:
    """On standard output or error, or on `file`. Text from outside is never markup."""
    stream = file or (sys.stderr if stderr else sys.stdout)
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(
        file=file, stderr=stderr, width=width, markup=False, highlight=False, soft_wrap=False
    )
