"""A report for a pull request: Markdown with the words, the tables and the findings."""

from __future__ import annotations

from collections.abc import Sequence

from bench.reporting.reproduce import commands
from bench.reporting.sources import Scored
from bench.reporting.words import sentences
from bench.runtime.provenance import version
from bench.tables.formats import labels, markdown_text, to_markdown

MARKS = {"good": "✓", "gap": "▲", "bad": "✕", "note": "•"}


def markdown(scored: Sequence[Scored]) -> str:
    """The report as Markdown; text from outside stays text."""
    records = [one.record for one in scored]
    names = [markdown_text(name) for name in labels(records)]
    lines = ["## Latentbench report", ""]
    for one, name in zip(scored, names, strict=True):
        lines += [f"### {name}", ""]
        lines += [f"- {MARKS[said.tone]} {markdown_text(said.text)}" for said in sentences(one)]
        lines += [
            f"- **{markdown_text(found.code)}**, what to do: {markdown_text(found.fix)}"
            for found in one.record.findings
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
    """Lines in a fence that none of them can close."""
    fence = "```"
    while any(fence in line for line in lines):
        fence += "`"
    return [fence, *(" ".join(line.split()) for line in lines), fence]
