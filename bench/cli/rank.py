"""`latentbench rank`: the submissions of a class become a leaderboard."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import options
from bench.cli.options import (
    BatchSize,
    Device,
    Executor,
    Layer,
    Metrics,
    NoCache,
    Precision,
    Quiet,
    Resize,
    Spec,
    UnverifiedWeights,
    Weights,
)
from bench.errors import EXIT_INVALID, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.execution.scheduling import Event
    from bench.ranking.rank import Ranking

BOARD = "Board"
STAFF_COMMANDS = ("compare", "decide", "history")  # in place of the first source


def rank(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="A folder with an archive or a folder for each team, an archive, or a CSV file "
            "with the columns name and path; one or more.",
        ),
    ],
    *,
    reference: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE|DIR",
            help="Reference by name (`latentbench reference list`), its manifest file, or a "
            "folder of real images.",
            rich_help_panel=options.INPUT,
        ),
    ] = "mnist",
    spec: Spec = None,
    resize: Resize = None,
    metrics: Metrics = None,
    extractor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Network that computes features; `latentbench extractors` lists them.",
            show_default="the one the reference is built for",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = None,
    layer: Layer = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Resizing of the extractor, by the tool that it follows.",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = None,
    precision: Precision = None,
    weights: Weights = None,
    unverified_weights: UnverifiedWeights = False,
    seed: Annotated[
        int, options.seed(2**32 - 1, "Seed of all random draws.", options.PROTOCOL)
    ] = 2020,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            metavar="METRIC[=WEIGHT]",
            help="Metric to rank by; the next ones order ties. With weights, the weighted sum of "
            "the places in all of them. Comma-separated or repeated.",
            show_default="fid",
            rich_help_panel=BOARD,
        ),
    ] = None,
    without_rule: Annotated[
        list[str] | None,
        typer.Option(
            "--without-rule",
            metavar="NAME",
            help="Rank submissions that a rule would leave out: spec, copies (of training images), "
            "twins (the pixels of another team), content (faults that make a score meaningless).",
            rich_help_panel=BOARD,
        ),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Rank only what was there by then, such as 2026-12-01T18:00+01:00.",
            rich_help_panel=BOARD,
        ),
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV file with the columns team and name: names to show.",
            rich_help_panel=BOARD,
        ),
    ] = None,
    secret: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Show pseudonyms, which are the same on every board made with this secret.",
            rich_help_panel=BOARD,
        ),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write which name stands for which team; keep this file private.",
            rich_help_panel=BOARD,
        ),
    ] = None,
    executor: Executor = None,
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout",
            min=1,
            metavar="SECONDS",
            help="Time after which the scoring of one submission is given up.",
            rich_help_panel=options.SPEED,
        ),
    ] = 1800,
    batch_size: BatchSize = None,
    device: Device = None,
    no_cache: NoCache = False,
    work: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Private folder with every score, decision and ranking so far.",
            show_default="OUT-private",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    out: Annotated[
        Path, options.out("Folder for the board: pages and tables that any web server can serve.")
    ] = Path("board"),
    quiet: Quiet = False,
) -> None:
    """Rank the submissions of a class on one page.

    Examples:
      latentbench rank submissions/ --reference mnist --spec mnist-10k --out board/
      latentbench rank submissions/ --by fid,recall_k3 --deadline 2026-12-01T18:00+01:00
      latentbench rank teams.csv --by fid=2,coverage_k5=1 --names names.csv
      latentbench rank submissions/ --secret secret.txt --mapping private.csv
      latentbench rank compare public-private/ hidden-private/
      latentbench rank history board-private/ ada
      latentbench rank decide board-private/ ada disqualified "two accounts"

    Audits and scores every submission, in parallel and each on its own, and writes a board with a
    page for each team. Teams whose scores do not differ significantly share a place. The same
    command scores only what is new or was replaced. With a deadline, the last submission of a team
    that was there in time counts. Exit code 1 if one cannot be scored.
    """
    if sources[0] in STAFF_COMMANDS and not Path(sources[0]).exists():
        from bench.cli import rank_staff

        getattr(rank_staff, sources[0])(sources[1:])
        return
    from bench.ranking.board import write_board
    from bench.ranking.names import read_names, read_secret, shown_names, write_mapping
    from bench.ranking.rank import rank as rank_all
    from bench.runtime.terminal import require_writable

    require_writable(out, "the board")
    metric_order, weighted = _by(options.split(by))
    private = out.with_name(f"{out.name or 'board'}-private") if work is None else work
    if private.resolve().is_relative_to(out.resolve()):
        raise UsageError(f"--work {private} lies in the published folder {out}; name another")
    if mapping is not None and mapping.resolve().is_relative_to(out.resolve()):
        raise UsageError(f"--mapping {mapping} lies in the published folder {out}; name another")
    settings: dict[str, Any] = {
        "reference": _absolute(reference),
        "spec": None if spec is None else _absolute(spec),
        "resize": resize,
        "metrics": None if metrics is None else list(options.split(metrics) or ()),
        "extractor": extractor,
        "layer": layer,
        "protocol": protocol,
        "precision": precision,
        "weights": None if weights is None else str(Path(weights).resolve()),
        "unverified_weights": unverified_weights,
        "seed": seed,
        "batch_size": batch_size,
        "device": device,
        "use_cache": not no_cache,
    }
    shown = functools.partial(
        shown_names,
        names=None if names is None else read_names(names),
        secret=None if secret is None else read_secret(secret),
    )
    ranking = rank_all(
        sources,
        settings,
        work=private,
        by=metric_order,
        weights=weighted,
        without_rules=list(options.split(without_rule) or ()),
        deadline=deadline,
        names=shown,
        executor=executor or "local",
        timeout_s=timeout_s,
        on_event=None if quiet else _print_event,
    )
    page = write_board(ranking, out)
    if mapping is not None:
        write_mapping(ranking.names, mapping)
    _print_ranking(ranking)
    sys.stdout.write(f"written: {page}\n")
    sys.stdout.flush()
    if any(row.record is None for row in ranking.rows):
        raise typer.Exit(EXIT_INVALID)


def _by(given: Iterable[str] | None) -> tuple[tuple[str, ...], dict[str, float]]:
    """Return the metrics in order, and their weights if they have any. Raises `UsageError`."""
    from bench.metrics import METRICS

    parts = [part.partition("=") for part in given or ("fid",)]
    for name, _, _ in parts:
        METRICS.find(name)
    weighted = [(name, text) for name, equals, text in parts if equals]
    if weighted and len(weighted) < len(parts):
        raise UsageError("--by: give all metrics a weight, as in fid=2,recall_k3=1, or none")
    try:
        return tuple(name for name, _, _ in parts), {name: float(text) for name, text in weighted}
    except ValueError as error:
        raise UsageError(f"--by: {error}; expected a number, as in fid=2") from error


def _absolute(name: str) -> str:
    """Return the absolute path of a file or folder, and a name as it is."""
    path = Path(name)
    return str(path.resolve()) if path.exists() else name


def _print_event(event: Event) -> None:
    if event.kind in ("done", "failed", "retried"):
        from bench.intake import sanitise

        what = "scored" if event.kind == "done" else f"{event.kind}: {event.message}"
        label = sanitise(event.label)
        sys.stderr.write(f"latentbench: {event.finished}/{event.total} {label}: {what}\n")


def _print_ranking(ranking: Ranking) -> None:
    from bench.intake import sanitise
    from bench.tables.console import print_rows
    from bench.tables.numbers import value_with_interval

    def shown(row: Any) -> str:
        return sanitise(ranking.names[row.entry.team])

    metrics = list(ranking.weights or ranking.by)
    rows = []
    for row in ranking.ranked:
        values = {entry.metric: entry for entry in row.record.values} if row.record else {}
        rows.append(
            [str(row.place), shown(row), *(value_with_interval(values[name]) for name in metrics)]
        )
    if rows:
        print_rows(["place", "team", *metrics], rows)
    for row in ranking.rows:
        if row.place is None:
            sys.stdout.write(f"not ranked: {shown(row)}: {sanitise(row.reason or '', 400)}\n")
