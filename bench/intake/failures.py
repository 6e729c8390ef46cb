"""What went wrong with one of several submissions, as an error that a caller can report."""

from __future__ import annotations

from bench.errors import InputError, LatentbenchError, UnexpectedError
from bench.runtime.printable import sanitise


def failure_of(source: object, error: Exception) -> LatentbenchError:
    """Return any exception that the work on `source` raised as an error of this project.

    One of this project stays as it is. A file that was removed or changed while it was read becomes
    an `InputError`; everything else is a defect and becomes an `UnexpectedError`.
    """
    if isinstance(error, LatentbenchError):
        return error
    shown = sanitise(str(source), 400)
    if isinstance(error, OSError):
        failure: LatentbenchError = InputError(f"{shown}: {sanitise(str(error), 400)}")
    else:
        failure = UnexpectedError(shown, error)
    failure.__cause__ = error
    return failure
