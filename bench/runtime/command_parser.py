"""Arguments of the programs that are no verb (`python -m ...`), with this project's exit codes."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from bench.errors import EXIT_USAGE


class CommandParser(argparse.ArgumentParser):
    """argparse's, where wrong words end with `EXIT_USAGE`: its own 2 means interrupted here."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: {message}\n")
