"""`latentbench report`: records become a page, a summary, a picture or a table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.cli import options
from bench.cli.options import NoCache, Quiet
from bench.errors import UsageError

Format = Literal["html", "md", "png", "csv", "json", "latex", "html-table", "parquet"]


def report(
    records: Annotated[
        list[Path],
        typer.Argument(metavar="RECORDS", help="Record files (.json, .jsonl), or their folders."),
    ],
    *,
    no_cache: NoCache = False,
    out: Annotated[
        Path | None,
        options.out("File to write; - for standard output.", "FILE", "report.html, or .csv, ..."),
    ] = None,
    format: Annotated[  # noqa: A002  (the usual word)
        Format | None,
        typer.Option(
            metavar="html|md|png|csv|json|latex|html-table|parquet",
            help="Form of the report.",
            show_default="by the ending of --out, else html",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Turn score records into a page, a summary, a picture or a table.

    Examples:
      latentbench report latentbench-results/                  one self-contained HTML file
      latentbench report a.json b.json --out report.md         for a pull request
      latentbench report latentbench-results/ --format csv --out -
      latentbench report latentbench-anomaly/                  of `latentbench anomaly`
    """
    from bench.reporting.sources import anomaly_record, find_scored
    from bench.reporting.writing import chosen, render, render_anomaly
    from bench.runtime.progress import progress_report
    from bench.runtime.whole_files import write_atomically
    from bench.tables.numbers import counted

    to_stdout = out is not None and str(out) == "-"
    name, path = chosen(format or ("html" if to_stdout else None), None if to_stdout else out)
    runs = [run for path in records if (run := anomaly_record(path)) is not None]
    if runs:
        if len(records) > 1:
            raise UsageError(f"{runs[0]}: a run of anomaly detectors has a page of its own")
        data = render_anomaly(runs[0], name)
        if to_stdout:
            sys.stdout.buffer.write(data)
        else:
            write_atomically(path, data)
            sys.stdout.write(f"{name}: {path} ({len(data):,} bytes)\n")
        return
    found = find_scored(records)
    sys.stderr.writelines(f"latentbench: {message}\n" for message in found.skipped)
    with progress_report(quiet=quiet) as progress:
        data = render(found.scored, name, use_cache=not no_cache, progress=progress)
    if to_stdout:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        return
    write_atomically(path, data)
    sys.stdout.write(
        f"{name}: {path} ({counted(len(found.scored), 'record')}, {len(data):,} bytes)\n"
    )
