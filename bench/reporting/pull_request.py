"""A report for a pull request: Markdown with sentences, findings and tables."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records.finding_order import by_urgency
from bench.reporting.reproduce import commands
from bench.reporting.sentence import MARKS
from bench.reporting.sources import Scored
from bench.reporting.words import sentences
from bench.runtime.provenance import version
from bench.tables.escaping import markdown_text, one_line
from bench.tables.formats import to_markdown
from bench.tables.presentation import labels


def markdown(scored: Sequence[Scored]) -> str:
    """Return the report as Markdown; text from outside is escaped."""
    records = [one.record for one in scored]
    names = [markdown_text(name) for name in labels(records)]
    lines = ["## Latentbench report", ""]
    for one, name in zip(scored, names, strict=True):
        lines += [f"### {name}", ""]
        lines += [
            f"- {MARKS[sentence.tone]} {markdown_text(f'{sentence.text} {sentence.hint}'.rstrip())}"
            for sentence in sentences(one)
        ]
        lines += [
            f"- **{markdown_text(found.code)}**, what to do: {markdown_text(found.fix)}"
            for found in by_urgency(one.record.findings)[0]
            if found.fix
        ]
        lines.append("")
    lines += [
        "### Scores",
        "",
        to_markdown(records),
        "<details><summary>How to reproduce</summary>",
    ]
    lines += ["", *_fenced([*commands(records), *(f"# {r.signature}" for r in records)]), ""]
    lines += ["</details>", "", f"latentbench {version()}"]
    return "\n".join(lines) + "\n"


def _fenced(lines: Sequence[str]) -> list[str]:
    """Return lines in a code fence that none of them can close."""
    fence = "```"
    while any(fence in line for line in lines):
        fence += "`"
    return [fence, *map(one_line, lines), fence]
