"""Plain tables and findings on the terminal. Text from outside is never interpreted as markup."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from bench.records.finding_order import by_urgency
from bench.runtime.terminal import console

if TYPE_CHECKING:
    from bench.intake.findings import Finding
    from bench.records.score_record import FindingEntry

SEVERITY_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
WIDE_COLUMNS = 100  # below this width, plain tables lose their last column


def print_first_findings(findings: Iterable[Finding | FindingEntry]) -> None:
    """Print the three most urgent findings on stderr as `print_findings` does, and name the rest.

    The order is that of `bench.records.finding_order`.
    """
    first, rest = by_urgency(findings)
    print_findings(first)
    if rest:
        others = ", ".join(f"{finding.code} ({finding.count:,})" for finding in rest)
        console(stderr=True).print(Text(f"also found: {others}", "dim"), overflow="fold")


def print_findings(findings: Iterable[Finding | FindingEntry], *, repaired: bool = False) -> None:
    """Print findings on stderr in the given order: severity, code, count, message, names, fix.

    Those that were `repaired` have neither severity nor fix any more.
    """
    stderr = console(stderr=True)
    for finding in findings:
        head = Text(f"{finding.severity} ", style=SEVERITY_STYLES[finding.severity])
        if repaired:
            head = Text("repaired ", style="green")
        head.append(f"{finding.code} ({finding.count:,}): ", style="bold")
        head.append(finding.message)
        stderr.print(head, overflow="fold")
        if finding.examples:
            more = ", ..." if finding.count > len(finding.examples) else ""
            stderr.print(Text(f"    {', '.join(finding.examples)}{more}", "dim"), overflow="fold")
        if not repaired:
            stderr.print(Text(f"    fix: {finding.fix}"), overflow="fold")


def print_rows(columns: list[str], rows: Iterable[list[str]]) -> None:
    """Print a plain table on stdout. A terminal below 100 columns omits the last column."""
    stdout = console()
    rows = list(rows)
    if stdout.width < WIDE_COLUMNS:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    stdout.print(table)
