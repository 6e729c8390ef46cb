"""One report written in one format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench.errors import UsageError
from bench.records.score_record import ScoreRecord
from bench.reporting.card import card
from bench.reporting.markdown import markdown
from bench.reporting.page import Progress, page
from bench.reporting.sources import Scored, find_scored, without_exhibits
from bench.runtime.cache import Cache, default_root
from bench.runtime.whole_files import write_atomically
from bench.tables.formats import FORMATS as TABLE_FORMATS

SUFFIXES: dict[str, str] = {
    "html": ".html",
    "md": ".md",
    "png": ".png",
    "csv": ".csv",
    "json": ".json",
    "latex": ".tex",
    "html-table": ".html",
    "parquet": ".parquet",
}
FORMATS = tuple(SUFFIXES)


def report(
    records: ScoreRecord | Iterable[ScoreRecord | str | Path] | str | Path,
    path: str | Path | None = None,
    *,
    format: str | None = None,  # noqa: A002  (the word that everybody looks for)
    use_cache: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Write a report on records, record files or folders of them; returns the file's path.

    `format` is one of `FORMATS`, taken from the suffix of `path` when None, "html" without either;
    `path` is `report` with the format's suffix in the working directory when None. Pictures need
    the exhibits that lie beside record files; records from memory have none. Raises
    `NothingFoundError`, `InputError` and `UsageError`.
    """
    name, path = chosen(format, path)
    scored = gather(records)
    data = render(scored, name, use_cache=use_cache, progress=progress)
    write_atomically(path, data)
    return path


def gather(records: ScoreRecord | Iterable[ScoreRecord | str | Path] | str | Path) -> list[Scored]:
    """Records from memory, from files and from folders. Raises as `report` does."""
    items = [records] if isinstance(records, ScoreRecord | str | Path) else list(records)
    found: list[Scored] = []
    for item in items:
        found += (
            find_scored([item]).scored if isinstance(item, str | Path) else without_exhibits([item])
        )
    return found or without_exhibits([])


def render(
    scored: Sequence[Scored],
    format: str,  # noqa: A002
    *,
    use_cache: bool = True,
    progress: Progress | None = None,
) -> bytes:
    """The bytes of a report in one of `FORMATS`."""
    if format == "html":
        cache = Cache(default_root() if use_cache else None)
        return page(scored, cache, progress).encode("utf-8", "replace")
    if format == "md":
        return markdown(scored).encode("utf-8", "replace")
    if format == "png":
        return card(scored)
    make: Callable[[Sequence[ScoreRecord]], str | bytes] = TABLE_FORMATS[format]
    made = make([one.record for one in scored])
    return made if isinstance(made, bytes) else made.encode("utf-8", "replace")


def chosen(format: str | None, path: str | Path | None) -> tuple[str, Path]:  # noqa: A002
    """The format and the file, each by the other where one is None. Raises `UsageError`."""
    if format is not None and format not in SUFFIXES:
        raise UsageError(f"unknown format {format!r}; valid: {', '.join(FORMATS)}")
    name = format
    if name is None:
        suffix = ".html" if path is None else Path(path).suffix.lower()
        name = next((known for known, ending in SUFFIXES.items() if ending == suffix), None)
    if name is None:
        endings = ", ".join(sorted(set(SUFFIXES.values())))
        raise UsageError(f"{path}: which --format? By its ending it may be one of {endings}")
    return name, Path(f"report{SUFFIXES[name]}" if path is None else path)
