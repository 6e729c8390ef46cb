"""What every command shares: a console for text, a parser with our exit codes, an output check."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from bench.errors import EXIT_USAGE, UsageError, reason_of

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 140  # columns for tables in a pipe or a log, which have no width of their own


def console(*, stderr: bool = False, file: TextIO | None = None) -> Console:
    """Return a console on standard output, standard error or `file`.

    It is as wide as the terminal, or `PIPE_WIDTH` columns elsewhere. Text is never read as markup.
    """
    from rich.console import Console  # noqa: PLC0415  (50 ms that most commands do not need)

    stream = file or (sys.stderr if stderr else sys.stdout)
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(
        file=file, stderr=stderr, width=width, markup=False, highlight=False, soft_wrap=False
    )


class CommandParser(argparse.ArgumentParser):
    """An `argparse` parser that exits with `EXIT_USAGE` for wrong arguments.

    For programs run by `python -m ...`. The exit code 2 of `argparse` means interrupted here.
    """

    def error(self, message: str) -> NoReturn:
        """Print the usage and `message` on standard error, and exit."""
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: {message}\n")


def require_writable(out: Path, what: str = "results") -> None:
    """Create the folder `out` and check that `what` can be written there, before computing it.

    Raises `UsageError`.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UsageError(f"{out}: {what} cannot be written there: {reason_of(error)}") from error
