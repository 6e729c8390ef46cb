"""`latentbench compare`: a new record against a stored one, for people and for CI."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli import options
from bench.cli.options import Metrics
from bench.errors import EXIT_INVALID, InputError, UsageError, reason_of

if TYPE_CHECKING:
    from bench.comparing.comparison import Comparison
    from bench.records.score_record import ScoreRecord

Format = Literal["text", "md", "json"]


def compare(
    base: Annotated[
        Path,
        typer.Argument(
            metavar="BASE",
            help="Records to compare with: a .json or .jsonl file, or their folder.",
        ),
    ],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The new record.")],
    *,
    submission: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Compare only the submission of this name.",
            show_default="all",
            rich_help_panel=options.INPUT,
        ),
    ] = None,
    metrics: Metrics = None,
    tolerance: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE|NAME=VALUE,...",
            help="Accept values worse by this much: 2%, or fid=2%,kid_poly3=0.001.",
            show_default="none",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = None,
    allow_other_size: Annotated[
        bool,
        typer.Option(
            "--allow-other-size",
            help="Compare records of different numbers of images.",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = False,
    output: Annotated[
        Format,
        typer.Option(
            "--format",
            metavar="text|md|json",
            help="Form of the result.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = "text",
    out: Annotated[
        Path | None, options.out("File for the result.", "FILE", "standard output")
    ] = None,
) -> None:
    """Tell whether a new score record is worse than an old one.

    Examples:
      latentbench compare old.json new.json
      latentbench compare results-main/ results-pr/
      latentbench compare main.jsonl pr.jsonl --metrics fid,recall_k3 --tolerance 2%
      latentbench compare main.jsonl pr.jsonl --format md --out comment.md

    Exit code 1 if a metric is worse by more than chance and the tolerance explain. Submissions are
    matched by name; in a .jsonl file the last record of each submission counts.
    """
    from bench.comparing.comparison import compare as run_compare
    from bench.comparing.views import headline, print_comparison
    from bench.runtime.terminal import console
    from bench.runtime.whole_files import write_atomically

    comparison = run_compare(
        _records(base),
        _records(new),
        options.split(metrics),
        tolerance=tolerance,
        submission=submission,
        allow_other_size=allow_other_size,
    )
    if out is not None:
        try:
            write_atomically(out, _text(comparison, output).encode())
        except OSError as error:
            raise UsageError(f"{out}: cannot be written: {reason_of(error)}") from error
        sys.stdout.write(f"{headline(comparison)}\n")
    elif output == "text":
        print_comparison(comparison, console())
    else:
        sys.stdout.write(_text(comparison, output))
    if not comparison.ok:
        raise typer.Exit(EXIT_INVALID)


def _text(comparison: Comparison, output: Format) -> str:
    import io

    from bench.comparing.views import as_json, markdown, print_comparison
    from bench.runtime.terminal import console

    if output == "md":
        return markdown(comparison)
    if output == "json":
        return as_json(comparison)
    page = io.StringIO()
    print_comparison(comparison, console(file=page))
    return page.getvalue()


def _records(path: Path) -> list[ScoreRecord]:
    """Read records. Raises `UsageError` for an unreadable file: exit code 1 means a regression."""
    from bench.records.score_record import read_record_lines

    try:
        records, torn = read_record_lines(path)
    except InputError as error:
        raise UsageError(str(error)) from error
    sys.stderr.writelines(f"latentbench: {message}\n" for message in torn)
    return records
