"""The page of `tests.mutate`: shares by room, and every survivor with the reason why it is none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.tables.escaping import markdown_table, markdown_text


def write_page(out: Path, rows: list[dict[str, Any]], rooms: Sequence[str]) -> None:
    """Write README.md. `reasons.json` maps "FILE CHANGE" of a survivor to a reason."""
    file = out / "reasons.json"
    reasons = json.loads(file.read_text()) if file.exists() else {}
    table = []
    for room in ("", *rooms):
        own = [row for row in rows if not room or str(Path(row["file"]).parent) == room]
        killed = sum(not row["survives"] for row in own)
        share = f"{100 * killed / len(own):.1f} %" if own else "-"
        table.append([room or "all", str(len(own)), share])
    left = [
        [
            row["file"],
            markdown_text(row["change"]),
            reasons.get(f"{row['file']} {row['change']}", "not looked at"),
        ]
        for row in rows
        if row["survives"]
    ]
    text = ["# Mutants", "", "Made by `python -m tests.mutate`; see there what a mutant is.", ""]
    text += markdown_table(["room", "mutants", "noticed by the tests"], table)
    text += ["", "## Survivors", "", *markdown_table(["file", "change", "reason"], left), ""]
    (out / "README.md").write_text("\n".join(text))
