"""`latentbench report`: records to a page, a summary, a card or a table."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.cli.options import Quiet

Format = Literal["html", "md", "png", "csv", "json", "latex", "html-table", "parquet"]


def report(
    records: Annotated[
        list[Path], typer.Argument(help="Record files (.json, .jsonl), or folders of them.")
    ],
    *,
    out: Annotated[
        Path | None, typer.Option(help="File to write; - is stdout. Default: report.SUFFIX.")
    ] = None,
    format: Annotated[  # noqa: A002  (the word that everybody looks for)
        Format | None, typer.Option(help="Default: by the ending of --out, else html.")
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Neither read nor write the cache.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Turn records into one page, a summary for a pull request, a picture or a table.

    \b
    latentbench report latentbench-results/                  one HTML file, nothing beside it
    latentbench report a.json b.json --out report.md         for a pull request
    latentbench report latentbench-results/ --format csv --out -
    """
    from bench.reporting.sources import find_scored
    from bench.reporting.writing import chosen, render
    from bench.runtime.progress import progress_report
    from bench.runtime.whole_files import write_atomically
    from bench.tables.numbers import counted

    to_stdout = out is not None and str(out) == "-"
    name, path = chosen(format or ("html" if to_stdout else None), None if to_stdout else out)
    found = find_scored(records)
    for file in found.skipped:
        sys.stderr.write(f"latentbench: {file}: holds no score records, skipped\n")
    with progress_report(quiet=quiet) as progress:
        data = render(found.scored, name, use_cache=not no_cache, progress=progress)
    if to_stdout:
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), data)
        return
    write_atomically(path, data)
    sys.stdout.write(
        f"{name}: {path} ({counted(len(found.scored), 'record')}, {len(data):,} bytes)\n"
    )
