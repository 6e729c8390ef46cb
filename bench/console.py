"""What the terminal shows: score tables, findings, progress. Text from outside is never markup."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from bench.record import FindingEntry, ScoreRecord, ScoreValue
    from bench.scoring import Progress as Report

ARROWS = {"lower": "lower", "higher": "higher", "target": "near"}
SEVERITY_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
PLAIN_INTERVAL_S = 5.0
WIDE_COLUMNS = 100
NARROW_COLUMNS = 84  # below, the score table goes without its gaps


def _console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    # A pipe or a log has no width of its own: give the table the room that it needs.
    width = None if stream.isatty() else 140
    return Console(stderr=stderr, width=width, markup=False, highlight=False, soft_wrap=False)


def format_number(value: float | None) -> str:
    """Four significant digits; counts and zeros as they are; "-" for no value."""
    if value is None:
        return "-"
    if abs(value) < 1e7 and (value == int(value) or abs(value) >= 1e4):
        return f"{value:.0f}"
    return f"{value:.4g}"


def _value_text(entry: ScoreValue) -> Text:
    if entry.value is None:
        return Text("none", style="yellow")
    return Text(format_number(entry.value), style="bold")


def print_record(record: ScoreRecord) -> None:
    """The table of one record, the reasons of absent values, the signature."""
    console = _console()
    submission = record.submission
    size = f"{submission.width_px}x{submission.height_px}"
    mode = "grey" if submission.channels == 1 else "RGB"
    title = (
        f"{submission.name}: {submission.num_images:,} images, {size} px {mode}, "
        f"against {record.reference.name}"
    )
    table = Table(
        box=box.SIMPLE_HEAD if console.width > NARROW_COLUMNS else None,
        title=Text(title),
        title_justify="left",
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("metric", no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("± sd", justify="right")
    table.add_column("perfect", justify="right")
    table.add_column("better")
    table.add_column("extractor")
    table.add_column("real", justify="right")
    table.add_column("yours", justify="right")
    for entry in record.values:
        table.add_row(
            entry.metric,
            _value_text(entry),
            "" if entry.spread is None else f"{entry.spread:.2g}",
            format_number(entry.expected),
            ARROWS[entry.direction],
            record.extractor.name,
            "-" if entry.n_real is None else f"{entry.n_real:,}",
            f"{entry.n_fake:,}",
        )
    console.print(table)
    sources = {entry.expected_source for entry in record.values if entry.expected is not None}
    held_out = sorted(source for source in sources if source and source != "closed form")
    if held_out:
        console.print(
            Text(
                f"perfect: what {' or '.join(held_out)} score, or the closed form where there is "
                "one\n"
                "real, yours: numbers of images; ± sd: over splits or subsets",
                "dim",
            )
        )
    for entry in record.values:
        if entry.reason is not None:
            console.print(Text(f"{entry.metric}: no value, {entry.reason}", style="yellow"))
    if record.extractor.settings:
        chosen = ", ".join(f"{kind} {value}" for kind, value in record.extractor.settings.items())
        console.print(Text(f"{record.extractor.name}: {chosen}", "dim"))
    _print_remarks(console, record)
    sys.stdout.write(f"signature: {record.signature}\n")  # on one line, whatever the width
    if record.from_cache:
        console.print(Text("same images, same protocol: taken from the cache", style="dim"))
    if record.findings:
        print_findings(record.findings)


def _print_remarks(console: Console, record: ScoreRecord) -> None:
    submission = record.submission
    if submission.resize is not None:
        console.print(Text(f"images of other sizes were brought to {submission.resize} px", "dim"))
    if record.subset is not None:
        console.print(
            Text(
                f"metrics with {record.subset:,} images take a fixed random choice of "
                f"{submission.num_images:,}",
                "dim",
            )
        )
    if not record.official:
        console.print(Text("unofficial: scored with --limit", style="yellow"))


def print_side_by_side(records: Sequence[ScoreRecord]) -> None:
    """The records of one submission under several protocols: a row a metric, a column a protocol,
    and how far the protocols are apart.
    """
    console = _console()
    first = records[0]
    submission = first.submission
    title = (
        f"{submission.name}: {submission.num_images:,} images, {submission.width_px}x"
        f"{submission.height_px} px, against {first.reference.name}, extractor "
        f"{first.extractor.name}"
    )
    table = Table(
        box=box.SIMPLE_HEAD if console.width > NARROW_COLUMNS else None,
        title=Text(title),
        title_justify="left",
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("metric", no_wrap=True)
    for record in records:
        protocol = record.extractor.settings.get("protocol", "-")
        table.add_column(protocol, justify="right", no_wrap=True)
    table.add_column("largest / smallest", justify="right")
    for entries in zip(*(record.values for record in records), strict=True):
        values = [entry.value for entry in entries if entry.value is not None]
        apart = ""
        if values and min(values) > 0:
            apart = f"{max(values) / min(values):.3f}"
        table.add_row(entries[0].metric, *(_value_text(entry) for entry in entries), apart)
    console.print(table)
    chosen = {kind: value for kind, value in first.extractor.settings.items() if kind != "protocol"}
    console.print(Text(", ".join(f"{kind} {value}" for kind, value in chosen.items()), "dim"))
    reasons = {e.metric: e.reason for record in records for e in record.values if e.reason}
    for metric, reason in reasons.items():
        console.print(Text(f"{metric}: no value, {reason}", style="yellow"))
    _print_remarks(console, first)
    for record in records:
        sys.stdout.write(f"signature: {record.signature}\n")
    findings = {(finding.code, finding.message): finding for r in records for finding in r.findings}
    if findings:
        print_findings(findings.values())


def print_findings(findings: Iterable[object]) -> None:
    """Findings in the order given, on stderr: severity, code, count, message, names, fix."""
    console = _console(stderr=True)
    entries: list[FindingEntry] = list(findings)  # type: ignore[arg-type]
    for finding in entries:
        head = Text(f"{finding.severity} ", style=SEVERITY_STYLES[finding.severity])
        head.append(f"{finding.code} ({finding.count:,}): ", style="bold")
        head.append(finding.message)
        console.print(head, overflow="fold")
        if finding.examples:
            more = ", ..." if finding.count > len(finding.examples) else ""
            console.print(Text(f"    {', '.join(finding.examples)}{more}", "dim"), overflow="fold")
        console.print(Text(f"    fix: {finding.fix}"), overflow="fold")


def print_rows(columns: list[str], rows: Iterable[list[str]]) -> None:
    """A plain table on stdout; a narrow terminal goes without the last column."""
    rows = list(rows)
    if _console().width < WIDE_COLUMNS:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    _console().print(table)


@contextmanager
def progress_report() -> Iterator[Report]:
    """A callback `(stage, done, total)`: bars on a terminal, a line now and then elsewhere."""
    if not sys.stderr.isatty():
        last_s = time.monotonic()

        def plain(stage: str, done: int, total: int) -> None:
            nonlocal last_s
            now_s = time.monotonic()
            if now_s - last_s >= PLAIN_INTERVAL_S:
                last_s = now_s
                sys.stderr.write(f"{stage}: {done:,} of {total:,}\n")

        yield plain
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=_console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report
