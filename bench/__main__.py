"""`python -m bench` and the command `latentbench`: run the CLI and turn every end into a code."""

from __future__ import annotations

import os
import sys

from bench.cli import app, register_verbs
from bench.errors import (
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    InvalidSubmission,
    LatentbenchError,
)

# What the command-line library exits with, and what that means here.
_LIBRARY_USAGE_ERROR, _LIBRARY_INTERRUPT = 2, 130


def run(arguments: list[str] | None = None) -> int:
    """Run one command line (default: the process's own); returns the exit code."""
    register_verbs()
    try:
        app(arguments, prog_name="latentbench")
    except LatentbenchError as error:
        _report(error)
        return error.exit_code
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else EXIT_OK
        return {_LIBRARY_USAGE_ERROR: EXIT_USAGE, _LIBRARY_INTERRUPT: EXIT_INTERRUPTED}.get(
            code, code
        )
    except BrokenPipeError:  # the reader of our output went away; keep the interpreter quiet
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except Exception:  # noqa: BLE001  (the last resort: show it all, say whose fault it is)
        import traceback

        traceback.print_exc()
        sys.stderr.write("latentbench: internal error; please report it with the lines above\n")
        return EXIT_INTERNAL
    return EXIT_OK


def _report(error: LatentbenchError) -> None:
    if isinstance(error, InvalidSubmission):
        from bench.console import print_findings

        print_findings(error.findings)
    sys.stderr.write(f"latentbench: {error}\n")


def main() -> None:
    sys.exit(run())


if __name__ == "__main__":
    main()
