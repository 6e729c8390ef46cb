"""Write one report in one format.

Each format loads what it needs when it is chosen: a table in CSV loads neither torch nor
matplotlib.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.errors import UsageError
from bench.records.score_record import ScoreRecord
from bench.reporting.sources import Scored, anomaly_record, find_scored, without_exhibits
from bench.runtime.progress import Progress
from bench.runtime.whole_files import write_atomically

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
    """Write a report on records, record files or folders of record files; return its path.

    The folder of a run of anomaly detectors becomes a page of its own.

    `format` is one of `FORMATS`. By default it follows from the suffix of `path`, or is "html"
    without a path. `path` defaults to `report` with the suffix of the format, in the working
    directory. Pictures come from the exhibits beside record files; records that are passed as
    objects have none.

    Raises `NothingFoundError` when there are no records, `InputError` for a file or an object that
    is not a record, `UsageError` for a missing path or an unknown format.
    """
    name, path = chosen(format, path)
    run = _anomaly_run(records)
    if run is not None:
        write_atomically(path, render_anomaly(run, name))
        return path
    data = render(gather(records), name, use_cache=use_cache, progress=progress)
    write_atomically(path, data)
    return path


def _anomaly_run(records: object) -> Path | None:
    """Return the record of a run of detectors, if that is what `records` names."""
    if not isinstance(records, str | Path):
        return None
    return anomaly_record(Path(records))


def render_anomaly(file: Path, format: str) -> bytes:  # noqa: A002
    """Return the page of a run of detectors. Raises `UsageError` for another format than html."""
    from bench.reporting.anomaly_page import anomaly_page

    if format != "html":
        raise UsageError(f"{file}: a run of anomaly detectors is reported as html, not {format}")
    return anomaly_page(file).encode("utf-8", "replace")


def gather(records: ScoreRecord | Iterable[ScoreRecord | str | Path] | str | Path) -> list[Scored]:
    """Return the records of objects, files and folders. Raises like `report`."""
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
    """Return the bytes of a report in one of `FORMATS`."""
    if format == "html":
        from bench.reporting.page import page
        from bench.runtime.cache import Cache, default_root

        cache = Cache(default_root() if use_cache else None)
        return page(scored, cache, progress).encode("utf-8", "replace")
    if format == "md":
        from bench.reporting.pull_request import markdown

        return markdown(scored).encode("utf-8", "replace")
    if format == "png":
        from bench.reporting.card import card

        return card(scored)
    from bench.tables.formats import FORMATS as TABLE_FORMATS

    data = TABLE_FORMATS[format]([one.record for one in scored])
    return data if isinstance(data, bytes) else data.encode("utf-8", "replace")


def chosen(format: str | None, path: str | Path | None) -> tuple[str, Path]:  # noqa: A002
    """Return format and path; a missing one follows from the other. Raises `UsageError`.

    >>> chosen(None, "scores.csv"), chosen("md", None)
    (('csv', PosixPath('scores.csv')), ('md', PosixPath('report.md')))
    """
    if format is not None and format not in SUFFIXES:
        raise UsageError(f"unknown format {format!r}; valid: {', '.join(FORMATS)}")
    name = format
    if name is None:
        suffix = ".html" if path is None else Path(path).suffix.lower()
        name = next((known for known, ending in SUFFIXES.items() if ending == suffix), None)
    if name is None:
        endings = ", ".join(sorted(set(SUFFIXES.values())))
        raise UsageError(f"{path}: no format has this ending; use one of {endings}, or --format")
    return name, Path(f"report{SUFFIXES[name]}" if path is None else path)
