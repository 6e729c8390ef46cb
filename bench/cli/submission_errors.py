"""How the verbs report a defect that one submission brought to light."""

from __future__ import annotations

import sys

from bench.errors import LatentbenchError, UnexpectedError


def report_of(error: LatentbenchError) -> dict[str, str]:
    """Return the field of a JSON line that holds the report of an `UnexpectedError`, if it is one.

    >>> report_of(LatentbenchError("no space"))
    {}
    """
    return {"report": error.report} if isinstance(error, UnexpectedError) else {}


def print_report(error: LatentbenchError) -> None:
    """Print the traceback of an `UnexpectedError` on standard error."""
    sys.stderr.write(report_of(error).get("report", ""))
