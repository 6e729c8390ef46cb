"""`python -m bench` and the command `latentbench`: run a command line, return its exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.errors import (
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    InvalidSubmission,
    LatentbenchError,
    reason_of,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Typer's exit codes of wrong usage and of Ctrl-C, which have other numbers here.
_TYPER_USAGE_ERROR, _TYPER_INTERRUPT = 2, 130


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: that of the process) and return the exit code."""
    try:
        from bench.cli.app import main as run_verb

        run_verb(sys.argv[1:] if arguments is None else arguments)
    except LatentbenchError as error:
        _report(error)
        return error.exit_code
    except SystemExit as ending:
        return _code_of(ending)
    except KeyboardInterrupt:
        return _interrupted()
    except OSError as error:  # a full disk, a read-only folder, a file that was deleted
        named = isinstance(error.filename, str | bytes)
        place = f"{os.fsdecode(error.filename)}: " if named else ""
        sys.stderr.write(f"latentbench: {place}{reason_of(error)}\n")
        return EXIT_USAGE
    except Exception:  # noqa: BLE001  (a defect of ours: show the whole traceback)
        import traceback

        traceback.print_exc()
        sys.stderr.write("latentbench: internal error; please report it with the lines above\n")
        return EXIT_INTERNAL
    return EXIT_OK


def _code_of(ending: SystemExit) -> int:
    code = ending.code if isinstance(ending.code, int) else EXIT_OK
    if code == _TYPER_INTERRUPT:
        return _interrupted()
    return EXIT_USAGE if code == _TYPER_USAGE_ERROR else code


def _interrupted() -> int:
    sys.stderr.write("latentbench: interrupted; finished work is kept\n")
    return EXIT_INTERRUPTED


def _report(error: LatentbenchError) -> None:
    if isinstance(error, InvalidSubmission):
        from bench.tables.console import print_findings

        print_findings(error.findings)
    sys.stderr.write(f"latentbench: {error}\n")


class _Output(io.FileIO):
    """Standard output or error that discards text nobody reads any more.

    In `latentbench score a b | head -1` the reader leaves after the first line. The verb goes on,
    so every record is written and the exit code says how the work ended.
    """

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


def _robust(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """Return a stream that survives a missing reader and characters the terminal lacks."""
    if stream.isatty():
        stream.reconfigure(errors="replace")
        return stream
    raw = _Output(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="replace",
        line_buffering=stream.line_buffering,
    )


def main() -> None:
    """Run the command of this process and exit."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _robust(sys.stdout)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _robust(sys.stderr)
    sys.exit(run())


if __name__ == "__main__":
    main()
