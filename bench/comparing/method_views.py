"""Views of a comparison of methods: a table on a terminal, Markdown for a pull request, JSON."""

from __future__ import annotations

import json

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.comparing.methods import MethodChange, MethodComparison
from bench.comparing.views import BETTER, STYLES, escaped, markdown_row, p_value_text
from bench.tables.numbers import number

COLUMNS = (
    "metric", "base", "new", "change", "95 % interval", "p (Holm)", "better", "runs needed",
    "verdict",
)  # fmt: skip
LEFT = ("metric", "better", "verdict")
ALWAYS = ("metric", "base", "new", "change", "p (Holm)", "verdict")  # also on a narrow terminal
WIDE = 110
VERDICTS = {"regression": "worse", "improvement": "better", "no change": "no difference found"}


def methods_headline(comparison: MethodComparison) -> str:
    """Return the outcome in one line."""
    found = []
    for verdict, word in (("regression", "worse"), ("improvement", "better")):
        names = [change.metric for change in comparison.changes if change.verdict == verdict]
        if names:
            found.append(f"NEW is {word} in {', '.join(names)}")
    runs = f"{comparison.num_new} training runs against {comparison.num_base}"
    return f"{'; '.join(found) or 'no difference found'} ({runs})"


def print_methods(comparison: MethodComparison, console: Console) -> None:
    """Print the table, the notes and the outcome."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    names = [name for name in COLUMNS if console.width >= WIDE or name in ALWAYS]
    for name in names:
        table.add_column(name, justify="left" if name in LEFT else "right", no_wrap=True)
    for change in comparison.changes:
        cells: list[str | Text] = [_cells(change)[name] for name in names[:-1]]
        table.add_row(*cells, Text(_cells(change)["verdict"], STYLES[change.verdict]))
    console.print(table)
    for note in method_notes(comparison):
        console.print(Text(note, "dim"))
    for warning in comparison.warnings:
        console.print(Text(f"warning: {warning}", "yellow"))
    style = "bold green" if comparison.ok else "bold red"
    console.print(Text(methods_headline(comparison), style))


def method_notes(comparison: MethodComparison) -> list[str]:
    """Return the explanations below the table."""
    notes = ["base, new: mean +- standard deviation over training runs"]
    unsure = [change for change in comparison.changes if change.verdict == "no change"]
    if any(change.runs_needed for change in unsure):
        notes.append(
            "runs needed: training runs a side with which a difference of this size would be found "
            "4 times in 5"
        )
    shares = [c.image_share for c in comparison.changes if c.image_share is not None]
    if shares:
        low, high = (f"{100 * min(share, 1.0):.0f}" for share in (min(shares), max(shares)))
        span = f"{low} %" if low == high else f"{low} to {high} %"
        notes.append(f"the draw of images explains {span} of the variance between runs")
    notes += [f"{change.metric}: {change.note}" for change in comparison.changes if change.note]
    return notes


def methods_json(comparison: MethodComparison) -> str:
    """Return the comparison as JSON, with `ok` and the headline first."""
    outcome = {"ok": comparison.ok, "headline": methods_headline(comparison)}
    return json.dumps(outcome | comparison.model_dump(mode="json"), indent=1) + "\n"


def methods_markdown(comparison: MethodComparison) -> str:
    """Return the comparison as Markdown, for a comment on a pull request."""
    align = ["---" if name in LEFT else "---:" for name in COLUMNS]
    lines = [f"### Latentbench: {methods_headline(comparison)}", ""]
    lines += [markdown_row(list(COLUMNS)), markdown_row(align)]
    for change in comparison.changes:
        cells = _cells(change) | {"metric": escaped(change.metric)}
        lines.append(markdown_row([cells[name] for name in COLUMNS]))
    remarks = method_notes(comparison) + [f"warning: {text}" for text in comparison.warnings]
    lines += ["", *(f"- {escaped(line)}" for line in remarks)]
    lines += ["", "<details><summary>signatures</summary>", ""]
    for side, signatures in zip(("BASE", "NEW"), comparison.signatures, strict=True):
        lines += [f"- {side} {escaped(signature)}" for signature in signatures]
    return "\n".join([*lines, "", "</details>", ""])


def _cells(change: MethodChange) -> dict[str, str]:
    """Return the text of every column."""

    def side(mean: float | None, deviation: float | None) -> str:
        return "-" if mean is None else f"{number(mean)} +- {number(deviation)}"

    interval = ""
    if change.low is not None:
        interval = f"{number(change.low)} to {number(change.high)}"
    needed = ""
    if change.verdict == "no change" and change.change:
        needed = "> 10000" if change.runs_needed is None else str(change.runs_needed)
    return {
        "metric": change.metric,
        "base": side(change.base, change.base_sd),
        "new": side(change.new, change.new_sd),
        "change": number(change.change, sign=True),
        "95 % interval": interval,
        "p (Holm)": p_value_text(change.p_value),
        "better": BETTER[change.direction],
        "runs needed": needed,
        "verdict": VERDICTS.get(change.verdict, change.verdict),
    }
