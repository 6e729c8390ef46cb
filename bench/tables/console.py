"""What the terminal shows: score tables and findings. Text from outside is never markup."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from rich import box
from rich.table import Table
from rich.text import Text

from bench.records.score_record import COMPILING_STAGE
from bench.runtime.terminal import console as _console
from bench.tables.numbers import decimals, number

if TYPE_CHECKING:
    from rich.console import Console

    from bench.records.score_record import FindingEntry, IntervalEntry, ScoreRecord, ScoreValue

ARROWS = {"lower": "lower", "higher": "higher", "target": "near"}
SEVERITY_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
WIDE_COLUMNS = 100
NARROW_COLUMNS = 84  # below, the score table goes without its gaps


def _value_text(entry: ScoreValue) -> Text:
    if entry.value is None:
        return Text("none", style="yellow")
    return Text(number(entry.value), style="bold")


class _Column(NamedTuple):
    """A column of the score table; one that is not needed goes where there is no room."""

    name: str
    cells: list[Text]
    justify: Literal["left", "right"] = "right"


DROPPED = ("± sd", "extractor", "better", "real", "yours")  # in this order


def _columns(record: ScoreRecord) -> list[_Column]:
    values = record.values
    columns = {
        "value": [_value_text(entry) for entry in values],
        "95 % interval": [Text(_interval_text(entry.interval)) for entry in values],
        "± sd": [Text("" if entry.spread is None else f"{entry.spread:.2g}") for entry in values],
        "perfect": [Text(number(entry.expected)) for entry in values],
        "better": [Text(ARROWS[entry.direction]) for entry in values],
        "extractor": [Text(record.extractor.name)] * len(values),
        "real": [Text("-" if e.n_real is None else f"{e.n_real:,}") for e in values],
        "yours": [Text(f"{entry.n_fake:,}") for entry in values],
    }
    return [
        _Column("metric", [Text(entry.metric) for entry in values], "left"),
        *(
            _Column(name, cells, "left" if name in ("better", "extractor") else "right")
            for name, cells in columns.items()
            if name != "95 % interval" or any(cell.plain for cell in cells)
        ),
    ]


def _fitting(columns: list[_Column], width: int) -> list[_Column]:
    """The columns that fit beside each other."""
    gap = 2 if width > NARROW_COLUMNS else 1
    for dropped in ("", *DROPPED):
        columns = [column for column in columns if column.name != dropped]
        needed = sum(max(len(column.name), *map(len, column.cells)) + gap for column in columns)
        if needed <= width:
            break
    return columns


def _interval_text(interval: IntervalEntry | None) -> str:
    if interval is None:
        return ""
    if interval.low == interval.high:
        return number(interval.low)
    places = decimals(interval)
    return f"{interval.low:.{places}f} to {interval.high:.{places}f}"


def _table(title: str, console: Console) -> Table:
    return Table(
        box=box.SIMPLE_HEAD if console.width > NARROW_COLUMNS else None,
        title=Text(title),
        title_justify="left",
        show_edge=False,
        padding=(0, 1, 0, 0),
    )


def _print_bias(console: Console, record: ScoreRecord) -> None:
    """What the intervals are about, and which lie around another number than the value."""
    if not any(entry.interval for entry in record.values):
        return
    shifted = [
        f"{entry.metric} {number(entry.interval.estimate)}"
        for entry in record.values
        if entry.interval is not None
        and entry.value is not None
        and not math.isclose(entry.interval.estimate, entry.value, rel_tol=1e-6, abs_tol=1e-12)
    ]
    about = "95 % interval: for another draw of as many images"
    if shifted:
        about += f"; around the value less its bias: {', '.join(shifted)}"
    console.print(Text(about, "dim"))


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
    columns = _fitting(_columns(record), console.width)
    table = _table(title, console)
    for column in columns:
        table.add_column(column.name, justify=column.justify, no_wrap=True)
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*row)
    console.print(table)
    shown = [column.name for column in columns]
    if "extractor" not in shown:
        console.print(Text(f"extractor: {record.extractor.name}", "dim"))
    _print_bias(console, record)
    sources = {entry.expected_source for entry in record.values if entry.expected is not None}
    held_out = sorted(source for source in sources if source and source != "closed form")
    if held_out:
        console.print(
            Text(
                f"perfect: what {' or '.join(held_out)} score, or the closed form where there is "
                "one",
                "dim",
            )
        )
    legend = {"real": "real, yours: numbers of images", "± sd": "± sd: over splits or subsets"}
    told = [text for name, text in legend.items() if name in shown]
    if told:
        console.print(Text("; ".join(told), "dim"))
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
    if COMPILING_STAGE in record.timings_s:
        compile_s = record.timings_s[COMPILING_STAGE]
        console.print(Text(f"compiling the network took {compile_s:.1f} s, once", "dim"))
    if submission.resize is not None:
        console.print(Text(f"images of other sizes were brought to {submission.resize} px", "dim"))
    if record.detector is not None:
        console.print(Text(f"anomaly_auc: judged by detector {record.detector}", "dim"))
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
    table = _table(title, console)
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
