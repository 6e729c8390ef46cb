"""The folder for results: outside the sources, and without the results of an earlier run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.errors import UsageError
from bench.runtime.terminal import require_writable

RECORD = "record.json"
DETECTOR_FILES = ("verdicts.csv", "scores.csv", "histogram.svg", "most-anomalous.png")


def require_apart(out: Path, sources: Iterable[str | Path | None], names: Iterable[str]) -> None:
    """Raise `UsageError` when results would be written into a source of images or labels, or when a
    source is inside the folder of a detector's results.
    """
    place = out.resolve()
    folders = {place / name for name in names}
    for source in sources:
        if source is None:
            continue
        origin = Path(source).resolve()
        if place == origin or origin in place.parents:
            raise UsageError(
                f"{out}: results would be written into {source}, which is an input; choose "
                f"another --out"
            )
        inside = next((f for f in folders if f == origin or f in origin.parents), None)
        if inside is not None:
            raise UsageError(
                f"{source} is inside {inside}, the folder for results of a detector; choose "
                f"another --out"
            )


@contextmanager
def folder_for_results(out: Path | None) -> Iterator[None]:
    """Create the folder before anything is computed, as a context manager. When the work fails,
    folders that were created and are still empty are removed. Raises `UsageError` when nothing can
    be written there.
    """
    if out is None:
        yield
        return
    places = (out, *out.parents)
    file = next((place for place in places if place.is_file()), None)
    if file is not None:
        raise UsageError(
            f"{out}: the results cannot be written there: {file} is a file; name a folder with "
            "--out"
        )
    made = [place for place in places if not place.is_dir()]
    try:
        require_writable(out)
        yield
    except BaseException:
        for place in made:
            with suppress(OSError):  # never created, or not empty
                place.rmdir()
        raise


def remove_earlier(out: Path, kept: Iterable[str]) -> None:
    """Remove the files of detectors that the record of an earlier run names and this run does not
    have. A folder is removed only when it is empty.
    """
    for name in set(_recorded(out / RECORD)) - set(kept):
        folder = out / name
        for file in DETECTOR_FILES:
            (folder / file).unlink(missing_ok=True)
        with suppress(OSError):  # missing, or it holds other files
            folder.rmdir()


def _recorded(path: Path) -> list[str]:
    """Return the names of the detectors of a record; none when the file does not exist."""
    try:
        entries = json.loads(path.read_bytes())["detectors"]
        names = [entry["name"] for entry in entries]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    return [name for name in names if isinstance(name, str) and Path(name).name == name]
