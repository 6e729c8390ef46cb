"""An exception in one line, for code of other packages that may raise anything."""

from __future__ import annotations

import traceback
from pathlib import Path

from bench.errors import LatentbenchError


def failure_line(error: BaseException) -> str:
    """Return a failure in one line: the message of an error of this project, and the type, message
    and line of code of any other.

    >>> failure_line(KeyError("train"))
    "KeyError: 'train'"
    """
    if isinstance(error, LatentbenchError):
        return str(error)
    said = " ".join(str(error).split())
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else text
