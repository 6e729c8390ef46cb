"""`latentbench compare`: a new record against a stored one, for people and for CI."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from bench.cli import options
from bench.cli.options import Metrics
from bench.errors import EXIT_INVALID, InputError, UsageError, reason_of

if TYPE_CHECKING:
    from rich.console import Console

    from bench.records.score_record import ScoreRecord

Format = Literal["text", "md", "json"]
PAIR = 2  # records without --against


def compare(
    records: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECORDS",
            help="BASE and NEW: .json or .jsonl files, or their folders; with --against, the "
            "training runs of NEW.",
        ),
    ],
    *,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RECORDS",
            help="Compare methods: the training runs of BASE, one record for each run.",
            rich_help_panel=options.INPUT,
        ),
    ] = None,
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
      latentbench compare A/*.json --against B/*.json
      latentbench compare main.jsonl pr.jsonl --metrics fid,recall_k3 --tolerance 2%
      latentbench compare main.jsonl pr.jsonl --format md --out comment.md

    Two records compare two folders of samples. With --against, two methods are compared: each
    record is a training run of its own, the runs vary more than draws of images do, and each side
    needs two or more.

    Exit code 1 if a metric of NEW is worse by more than chance and the tolerance explain.
    Submissions are matched by name; in a .jsonl file the last record of each submission counts.
    """
    views = _compare_methods if against is not None else _compare_folders
    view = views(
        records,
        against or [],
        options.split(metrics),
        tolerance=tolerance,
        submission=submission,
        allow_other_size=allow_other_size,
    )
    _write(view, output, out)
    if not view.ok:
        raise typer.Exit(EXIT_INVALID)


class _View(NamedTuple):
    """A comparison as the verb shows it."""

    ok: bool
    headline: str
    print_to: Callable[[Console], None]
    markdown: Callable[[], str]
    json: Callable[[], str]


def _compare_folders(
    records: list[Path],
    _against: list[Path],
    metrics: list[str] | None,
    *,
    tolerance: str | None,
    submission: str | None,
    allow_other_size: bool,
) -> _View:
    from bench.comparing import views
    from bench.comparing.comparison import compare as run_compare

    if len(records) != PAIR:
        raise UsageError(
            f"{len(records)} record file{'' if len(records) == 1 else 's'}: expected BASE and NEW. "
            "To compare methods with several training runs, give NEW... --against BASE..."
        )
    base, new = records
    found = run_compare(
        _records(base),
        _records(new),
        metrics,
        tolerance=tolerance,
        submission=submission,
        allow_other_size=allow_other_size,
    )
    return _View(
        found.ok,
        views.headline(found),
        lambda console: views.print_comparison(found, console),
        lambda: views.markdown(found),
        lambda: views.as_json(found),
    )


def _compare_methods(
    records: list[Path],
    against: list[Path],
    metrics: list[str] | None,
    *,
    tolerance: str | None,
    submission: str | None,
    allow_other_size: bool,
) -> _View:
    from bench.comparing import method_views as views
    from bench.comparing.methods import compare_methods

    if submission is not None:
        raise UsageError(
            "--submission and --against: every record is a run; leave --submission out"
        )
    found = compare_methods(
        [record for path in against for record in _records(path)],
        [record for path in records for record in _records(path)],
        metrics,
        tolerance=tolerance,
        allow_other_size=allow_other_size,
    )
    return _View(
        found.ok,
        views.methods_headline(found),
        lambda console: views.print_methods(found, console),
        lambda: views.methods_markdown(found),
        lambda: views.methods_json(found),
    )


def _write(view: _View, output: Format, out: Path | None) -> None:
    """Write the view to standard output, or to the file `out` and the headline to the screen."""
    from bench.runtime.terminal import console
    from bench.runtime.whole_files import write_atomically

    if output == "text" and out is None:
        view.print_to(console())
        return
    if output == "text":
        page = io.StringIO()
        view.print_to(console(file=page))
        text = page.getvalue()
    else:
        text = view.markdown() if output == "md" else view.json()
    if out is None:
        sys.stdout.write(text)
        return
    try:
        write_atomically(out, text.encode())
    except OSError as error:
        raise UsageError(f"{out}: cannot be written: {reason_of(error)}") from error
    sys.stdout.write(f"{view.headline}\n")


def _records(path: Path) -> list[ScoreRecord]:
    """Read records. Raises `UsageError` for an unreadable file: exit code 1 means a regression."""
    from bench.records.score_record import read_record_lines

    try:
        records, torn = read_record_lines(path)
    except InputError as error:
        raise UsageError(str(error)) from error
    sys.stderr.writelines(f"latentbench: {message}\n" for message in torn)
    return records
