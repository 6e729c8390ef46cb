"""`latentbench compare`: a new record against a stored one, for people and for CI."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.errors import EXIT_INVALID, InputError, UsageError

if TYPE_CHECKING:
    from bench.records.score_record import ScoreRecord


def compare(
    base: Annotated[Path, typer.Argument(help="Record to compare with: .json or .jsonl.")],
    new: Annotated[Path, typer.Argument(help="The new record.")],
    *,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric", "--metrics", help="Metrics by name, with commas; default: all of them."
        ),
    ] = None,
    tolerance: Annotated[
        str | None,
        typer.Option(help="How much worse is still fine: 2%, or fid=2%,kid_poly3=0.001."),
    ] = None,
    submission: Annotated[
        str | None, typer.Option(help="Compare only the submission of this name.")
    ] = None,
    allow_other_size: Annotated[
        bool, typer.Option("--allow-other-size", help="Compare different numbers of images.")
    ] = False,
    output: Annotated[
        Literal["text", "md", "json"], typer.Option("--format", help="How to tell the result.")
    ] = "text",
    out: Annotated[
        Path | None, typer.Option(help="Write the result there instead of on the screen.")
    ] = None,
) -> None:
    """Tell whether a model got worse. Exit 1 when a metric did, by more than luck and tolerance.

    Of a .jsonl file the last record of each submission counts; submissions are matched by name.

    \b
    latentbench compare old.json new.json
    latentbench compare main.jsonl pr.jsonl --metric fid,recall_k3 --tolerance 2%
    latentbench compare main.jsonl pr.jsonl --format md --out comment.md
    """
    from bench.comparing.comparison import compare as run_compare
    from bench.comparing.views import as_json, headline, markdown, print_comparison
    from bench.runtime.terminal import console
    from bench.runtime.whole_files import write_atomically

    names = None if metric is None else [name.strip() for name in metric.split(",") if name.strip()]
    comparison = run_compare(
        _records(base),
        _records(new),
        names,
        tolerance=tolerance,
        submission=submission,
        allow_other_size=allow_other_size,
    )
    if output == "text" and out is None:
        print_comparison(comparison, console())
    else:
        if output == "text":
            page = io.StringIO()
            print_comparison(comparison, console(file=page))
            text = page.getvalue()
        elif output == "md":
            text = markdown(comparison)
        else:
            text = as_json(comparison)
        if out is None:
            sys.stdout.write(text)
        else:
            try:
                write_atomically(out, text.encode())
            except OSError as error:
                raise UsageError(f"{out}: cannot be written: {error}") from error
            sys.stdout.write(f"{headline(comparison)}\n")
    if not comparison.ok:
        raise typer.Exit(EXIT_INVALID)


def _records(path: Path) -> list[ScoreRecord]:
    """Raises `UsageError` for a file that cannot be read: exit 1 is kept for regressions."""
    from bench.records.score_record import read_records

    try:
        return read_records(path)
    except InputError as error:
        raise UsageError(str(error)) from error
