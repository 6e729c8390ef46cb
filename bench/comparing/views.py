"""Views of a comparison: a table on a terminal, Markdown for a pull request, JSON.

Names of submissions come from outside. On the terminal they are plain text. In Markdown every
character that could be markup becomes a character reference.
"""

from __future__ import annotations

import json
import re

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.comparing.comparison import Comparison
from bench.comparing.metric_change import Change
from bench.tables.numbers import number

STYLES = {
    "regression": "bold red",
    "improvement": "green",
    "no change": "dim",
    "not judged": "yellow",
}
BETTER = {"lower": "lower", "higher": "higher", "target": "near"}
NARROW_COLUMNS = 100  # a narrower table omits its less important columns
RIGHT = {"base", "new", "change", "95 % interval", "p (Holm)", "allowed"}
SMALLEST_P = 0.0001
TWO_FOLDERS = (
    "This compares two folders of samples, not two methods: training again moves the values more "
    "than drawing other images does. To compare methods, give the records of several training runs "
    "of each: latentbench compare NEW... --against BASE..."
)
# Everything except letters, digits, a few harmless signs, an underscore or a point within a word or
# number, and a colon before a space.
MARKUP = re.compile(r"[^\w ,()=.:-]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<!\d)\.|\.(?!\d)|:(?! )")


def headline(comparison: Comparison) -> str:
    """Return the outcome in one line."""
    regressions, missing = comparison.regressions, comparison.missing
    found = []
    if regressions:
        metrics = ", ".join(dict.fromkeys(change.metric for change in regressions))
        plural = "s" if len(regressions) > 1 else ""
        found.append(f"{len(regressions)} regression{plural} ({metrics})")
    if missing:
        found.append(f"{len(missing)} missing in NEW")
    judged = sum(change.verdict != "not judged" for change in comparison.changes)
    outcome = " and ".join(found) or "no regression"
    return f"{outcome}, {judged} value{'' if judged == 1 else 's'} judged"


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print a table for each submission, the notes and the outcome."""
    for submission in dict.fromkeys(change.submission for change in comparison.changes):
        console.print(_table(comparison, submission, wide=console.width >= NARROW_COLUMNS))
    for note in notes(comparison):
        console.print(Text(note, "dim"))
    for warning in comparison.warnings:
        console.print(Text(f"warning: {warning}", "yellow"))
    for name in comparison.missing:
        console.print(Text(f"missing in NEW: {name} (--submission NAME compares one)", "bold red"))
    for name in comparison.added:
        console.print(Text(f"in NEW only: {name}", "dim"))
    console.print(Text(TWO_FOLDERS, "dim"))
    console.print(Text(headline(comparison), "bold green" if comparison.ok else "bold red"))


def _table(comparison: Comparison, submission: str, *, wide: bool) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(submission),
        title_justify="left",
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    tolerant = _is_tolerant(comparison)
    table.add_column("metric", no_wrap=True)
    for name in ("base", "new", "change"):
        table.add_column(name, justify="right", no_wrap=True)
    if wide:
        table.add_column("95 % interval", justify="right", no_wrap=True)
    table.add_column("p (Holm)", justify="right", no_wrap=True)
    if wide and tolerant:
        table.add_column("allowed", justify="right", no_wrap=True)
    if wide:
        table.add_column("better")
    table.add_column("verdict", no_wrap=True)
    for change in comparison.changes:
        if change.submission != submission:
            continue
        cells = [
            change.metric,
            number(change.base),
            number(change.new),
            number(change.change, sign=True),
        ]
        cells += [_interval(change)] if wide else []
        cells += [_p_value(change)]
        cells += [number(change.allowed)] if wide and tolerant else []
        cells += [BETTER[change.direction]] if wide else []
        table.add_row(*cells, Text(change.verdict, STYLES[change.verdict]))
    return table


def _is_tolerant(comparison: Comparison) -> bool:
    return any(change.allowed for change in comparison.changes)


def notes(comparison: Comparison) -> list[str]:
    """Return the notes on verdicts, each with the metrics that it is about."""
    about: dict[str, list[str]] = {}
    for change in comparison.changes:
        if change.note:
            about.setdefault(change.note, []).append(change.metric)
    every = len(comparison.changes)
    return [
        f"{'all' if len(metrics) == every else ', '.join(dict.fromkeys(metrics))}: {note}"
        for note, metrics in about.items()
    ]


def as_json(comparison: Comparison) -> str:
    """Return the comparison as JSON, with `ok` and the headline first."""
    outcome = {"ok": comparison.ok, "headline": headline(comparison), "scope": TWO_FOLDERS}
    return json.dumps(outcome | comparison.model_dump(mode="json"), indent=1) + "\n"


def markdown(comparison: Comparison) -> str:
    """Return the comparison as Markdown, for a comment on a pull request."""
    several = len({change.submission for change in comparison.changes}) > 1
    tolerant = _is_tolerant(comparison)
    head = ["submission"] if several else []
    head += ["metric", "base", "new", "change", "95 % interval", "p (Holm)"]
    head += ["allowed", "verdict"] if tolerant else ["verdict"]
    align = ["---:" if name in RIGHT else "---" for name in head]
    title = f"### Latentbench: {headline(comparison)}"
    lines = [title, "", markdown_row(head), markdown_row(align)]
    for change in comparison.changes:
        verdict = f"**{change.verdict}**" if change.verdict == "regression" else change.verdict
        cells = [escaped(change.submission)] if several else []
        cells += [escaped(change.metric), number(change.base), number(change.new)]
        cells += [number(change.change, sign=True), _interval(change), _p_value(change)]
        cells += [number(change.allowed), verdict] if tolerant else [verdict]
        lines.append(markdown_row(cells))
    remarks = [*notes(comparison), *(f"warning: {warning}" for warning in comparison.warnings)]
    remarks += [f"missing in NEW: {name}" for name in comparison.missing]
    remarks += [f"in NEW only: {name}" for name in comparison.added]
    remarks.append(TWO_FOLDERS)
    lines += ["", *(f"- {escaped(line)}" for line in remarks)]
    lines += ["", "<details><summary>signatures</summary>", ""]
    for base, new in comparison.signatures:
        lines += [f"- BASE {escaped(base)}", f"- NEW {escaped(new)}"]
    return "\n".join([*lines, "", "</details>", ""])


def markdown_row(cells: list[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    """Escape text for Markdown, HTML, and GitHub's mentions and links, on one line.

    >>> escaped("run_1 *final* @team")
    'run_1 &#42;final&#42; &#64;team'
    """
    line = " ".join(text.split())
    return MARKUP.sub(lambda found: f"&#{ord(found[0])};", line)


def _interval(change: Change) -> str:
    if change.low is None or change.high is None:
        return ""
    return f"{number(change.low)} to {number(change.high)}"


def p_value_text(p_value: float | None) -> str:
    """Return a p-value with the digits that matter; None is empty.

    >>> p_value_text(0.00001), p_value_text(0.0123)
    ('< 0.0001', '0.012')
    """
    if p_value is None:
        return ""
    if p_value < SMALLEST_P:
        return f"< {SMALLEST_P}"
    return f"{p_value:.4f}" if p_value < 0.001 else f"{p_value:.3f}"


def _p_value(change: Change) -> str:
    return p_value_text(change.p_value)
