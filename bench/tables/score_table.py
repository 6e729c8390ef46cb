"""Score records on the terminal: the table of one record, and protocols side by side.

Text from outside is never interpreted as markup.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from rich import box
from rich.table import Table
from rich.text import Text

from bench.records.score_record import COMPILING_STAGE
from bench.runtime.terminal import console as _console
from bench.tables.console import print_first_findings
from bench.tables.directions import DIRECTIONS
from bench.tables.numbers import NO_VALUE, centre_text, corrected_text, ends, number
from bench.tables.verdict import verdict

if TYPE_CHECKING:
    from rich.console import Console

    from bench.records.score_record import ScoreRecord, ScoreValue

NARROW_COLUMNS = 84  # up to this width, the table is set without a frame and with narrow gaps
OPTIONAL = ("± sd", "extractor", "better", "real", "yours")  # omitted in this order


class _Column(NamedTuple):
    name: str
    cells: list[Text]
    justify: Literal["left", "right"] = "right"


def print_record(record: ScoreRecord) -> None:
    """Print the table of one record, the reasons for missing values, remarks and the signature."""
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
    found = verdict(record)
    if found is not None:
        console.print(Text(found.text, "bold"))
    for line in _legend(record, shown={column.name for column in columns}):
        console.print(Text(line, "dim"))
    for reason, metrics in _reasons(record.values).items():
        console.print(Text(f"{', '.join(metrics)}: no value, {reason}", style="yellow"))
    if record.extractor.settings:
        chosen = ", ".join(f"{kind} {value}" for kind, value in record.extractor.settings.items())
        console.print(Text(f"{record.extractor.name}: {chosen}", "dim"))
    _print_remarks(console, record)
    sys.stdout.write(f"signature: {record.signature}\n")  # one line, however narrow the terminal
    if record.from_cache:
        console.print(Text("same images and protocol as before: read from the cache", "dim"))
    if record.findings:
        print_first_findings(record.findings)


def _reasons(values: Iterable[ScoreValue]) -> dict[str, list[str]]:
    """Return the metrics without a value, by the reason that they share."""
    found: dict[str, list[str]] = {}
    for entry in values:
        if entry.reason is not None:
            found.setdefault(entry.reason, []).append(entry.metric)
    return found


def print_side_by_side(records: Sequence[ScoreRecord]) -> None:
    """Print one submission under several protocols: a row for each metric, a column for each
    protocol, and the ratio of the largest to the smallest value.
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
        ratio = f"{max(values) / min(values):.3f}" if values and min(values) > 0 else ""
        table.add_row(entries[0].metric, *(_value_text(entry) for entry in entries), ratio)
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
        print_first_findings(findings.values())


def _table(title: str, console: Console) -> Table:
    return Table(
        box=box.SIMPLE_HEAD if console.width > NARROW_COLUMNS else None,
        title=Text(title),
        title_justify="left",
        show_edge=False,
        padding=(0, 1, 0, 0),
    )


def _columns(record: ScoreRecord) -> list[_Column]:
    values = record.values
    columns = {
        "value": [_value_text(entry) for entry in values],
        "95 % interval": [_interval_text(entry) for entry in values],
        "± sd": [Text("" if entry.spread is None else f"{entry.spread:.2g}") for entry in values],
        "perfect": [Text(number(entry.expected)) for entry in values],
        "better": [Text(DIRECTIONS[entry.direction].word) for entry in values],
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


def _value_text(entry: ScoreValue) -> Text:
    if entry.value is None:
        return Text(NO_VALUE, style="yellow")
    text = Text(number(entry.value), style="bold")
    if corrected := corrected_text(entry):
        text.append(f" ({corrected})", style="not bold")
    return text


def _interval_text(entry: ScoreValue) -> Text:
    if entry.interval is None:
        return Text("")
    return Text(" to ".join(dict.fromkeys(ends(entry.interval))))


def _fitting(columns: list[_Column], width: int) -> list[_Column]:
    """Omit optional columns until the table fits the width."""
    gap = 2 if width > NARROW_COLUMNS else 1
    for omitted in ("", *OPTIONAL):
        columns = [column for column in columns if column.name != omitted]
        needed = sum(max(len(column.name), *map(len, column.cells)) + gap for column in columns)
        if needed <= width:
            break
    return columns


def _legend(record: ScoreRecord, *, shown: set[str]) -> list[str]:
    """Explain the columns that are shown."""
    lines = [] if "extractor" in shown else [f"extractor: {record.extractor.name}"]
    if any(entry.interval for entry in record.values):
        about = "95 % interval: for another draw of the same number of images"
        if shifted := _bias_corrected(record):
            about += f"; centred on the value after correction for bias: {', '.join(shifted)}"
        lines.append(about)
    if any(corrected_text(entry) for entry in record.values):
        lines.append("in brackets: the corrected value, where the value lies outside its interval")
    if record.independent_images is not None:
        lines.append(
            f"copies are not independent draws: the intervals are for "
            f"{record.independent_images:,.0f} different images of {record.submission.num_images:,}"
        )
    sources = {entry.expected_source for entry in record.values if entry.expected is not None}
    held_out = sorted(source for source in sources if source and source != "closed form")
    if held_out:
        lines.append(
            f"perfect: the score of {' or '.join(held_out)}, or the closed form if one is known"
        )
    explained = {
        "real": "real, yours: numbers of images",
        "± sd": "± sd: over splits or subsets",
    }
    if texts := [text for name, text in explained.items() if name in shown]:
        lines.append("; ".join(texts))
    return lines


def _bias_corrected(record: ScoreRecord) -> list[str]:
    """Name the metrics whose interval is centred on another number than the value."""
    return [
        f"{entry.metric} {number(entry.interval.estimate)}"
        for entry in record.values
        if entry.interval is not None and centre_text(entry)
    ]


def _print_remarks(console: Console, record: ScoreRecord) -> None:
    submission = record.submission
    if COMPILING_STAGE in record.timings_s:
        compile_s = record.timings_s[COMPILING_STAGE]
        console.print(Text(f"compiling the network took {compile_s:.1f} s (once)", "dim"))
    if submission.resize is not None:
        console.print(Text(f"images of other sizes were resized to {submission.resize} px", "dim"))
    if record.detector is not None:
        console.print(Text(f"anomaly_auc: computed with detector {record.detector}", "dim"))
    if record.subset is not None:
        console.print(
            Text(
                f"metrics that show {record.subset:,} images use a fixed random subset of "
                f"{submission.num_images:,}",
                "dim",
            )
        )
    if not record.official:
        console.print(Text("unofficial: scored with --limit", style="yellow"))
