"""`python -m bench` and the command `latentbench`: run the CLI and turn every end into a code."""

from __future__ import annotations

import io
import os
import sys

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


def run(arguments: list[str] | None = None) -> int:  # noqa: PLR0911  (one for each ending)
    """Run one command line (default: the process's own); returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character
    try:
        if (sys.argv[1:] if arguments is None else arguments) in (["--help"], ["-h"]):
            from bench.cli.verbs import overview

            sys.stdout.write(overview())  # without importing the library that parses options
            return EXIT_OK
        from bench.cli.app import app

        app(arguments, prog_name="latentbench")
    except LatentbenchError as error:
        _report(error)
        return error.exit_code
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else EXIT_OK
        if code == _LIBRARY_INTERRUPT:
            return _interrupted()
        return EXIT_USAGE if code == _LIBRARY_USAGE_ERROR else code
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:  # the reader of our output went away; keep the interpreter quiet
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:  # a full disk, a read-only place, a file that went away
        sys.stderr.write(f"latentbench: {error}\n")
        return EXIT_USAGE
    except Exception:  # noqa: BLE001  (the last resort: show it all, say whose fault it is)
        import traceback

        traceback.print_exc()
        sys.stderr.write("latentbench: internal error; please report it with the lines above\n")
        return EXIT_INTERNAL
    return EXIT_OK


def _interrupted() -> int:
    sys.stderr.write("latentbench: interrupted; what was finished before is kept\n")
    return EXIT_INTERRUPTED


def _report(error: LatentbenchError) -> None:
    if isinstance(error, InvalidSubmission):
        from bench.tables.console import print_findings

        print_findings(error.findings)
    sys.stderr.write(f"latentbench: {error}\n")


def main() -> None:
    sys.exit(run())


if __name__ == "__main__":
    main()
