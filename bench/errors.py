"""The exceptions that Latentbench raises for its users, and the exit codes of the command.

    LatentbenchError               3  any other error
    ├── UnexpectedError            3  a defect that one submission brought to light, with its report
    ├── UsageError                 4  an option, name or path that cannot be used
    │   ├── UnknownNameError       4  a name that is not in a table; lists the valid names
    │   └── BundleError            4  a reference bundle or weights file: missing, damaged or unfit
    ├── InputError                 1  images that are not as expected
    │   └── InvalidSubmission      1  the same, with every finding of the audit
    └── NothingFoundError          5  an empty folder, an empty archive, no records

A message names the file or value, what was expected, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.intake.findings import Finding

EXIT_OK = 0
EXIT_INVALID = 1
EXIT_INTERRUPTED = 2
EXIT_INTERNAL = 3
EXIT_USAGE = 4
EXIT_NOTHING_FOUND = 5


def reason_of(error: BaseException) -> str:
    """Return what went wrong in words; of an `OSError`, without its number and file name.

    >>> reason_of(FileNotFoundError(2, "No such file or directory", "x.json"))
    'No such file or directory'
    """
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


class LatentbenchError(Exception):
    """The base class; the command exits with `exit_code`."""

    exit_code = EXIT_INTERNAL


class UnexpectedError(LatentbenchError):
    """A defect that one submission brought to light; the work on the others goes on.

    `report` is the traceback, for whoever repairs it.
    """

    def __init__(self, where: str, error: BaseException) -> None:
        import traceback  # noqa: PLC0415  (start-up time)

        said = " ".join(str(error).split())[:300]
        kind = type(error).__name__
        super().__init__(
            f"{where}: unexpected {kind}{': ' if said else ''}{said}. Other submissions are not "
            "affected. Please report this with its traceback."
        )
        self.report = "".join(traceback.format_exception(error))


class UsageError(LatentbenchError):
    """An option, name or path that cannot be used."""

    exit_code = EXIT_USAGE


class UnknownNameError(UsageError):
    """A name that is not in a table.

    >>> print(UnknownNameError("metric", "fdi", ["fid", "kid"]))
    unknown metric 'fdi'. Did you mean 'fid'? Valid: fid, kid
    """

    def __init__(self, kind: str, name: str, valid: Iterable[str]) -> None:
        import difflib  # noqa: PLC0415  (start-up time)

        names = sorted(valid)
        close = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        super().__init__(f"unknown {kind} {name!r}.{hint} Valid: {', '.join(names)}")


class BundleError(UsageError):
    """A reference bundle or weights file that is missing, is damaged or does not fit."""


class InputError(LatentbenchError):
    """Images that are not as expected."""

    exit_code = EXIT_INVALID


class InvalidSubmission(InputError):
    """A submission with at least one finding of severity error.

    The message is a summary line; `findings` holds all findings, with names, counts and fixes.
    """

    def __init__(self, message: str, findings: tuple[Finding, ...] = ()) -> None:
        super().__init__(message)
        self.findings = findings


class NothingFoundError(LatentbenchError):
    """A folder, archive or file that exists and is empty."""

    exit_code = EXIT_NOTHING_FOUND
