"""README.md over a folder of ablation reports: what each of them found, on one page."""

from __future__ import annotations

from pathlib import Path

from baselines.ablation.report.facts import short_facts, title_of
from baselines.ablation.report.folder import PLAN, known_runs, read_about
from baselines.ablation.report.page import PAGE, README, opening_of, quoted
from bench.reporting.sentence import MARKS
from bench.runtime.whole_files import write_atomically
from bench.tables.escaping import markdown_text


def reports_in(place: Path) -> list[Path]:
    """Return the folders of reports at `place`: the folder itself or, for a ledger, its parent, or
    else the reports inside it. Without any, `place` alone is returned.
    """
    for out in (place, place.parent):
        if (out / PLAN).is_file():
            return [out]
    return sorted(path.parent for path in place.glob(f"*/{PLAN}")) or [place]


def render_index(out: Path) -> None:
    """Write README.md with the opening of every report inside `out`."""
    lines = ["# Ablations", ""]
    for folder in reports_in(out):
        described = read_about(folder)
        plan = described.parsed_plan
        lines += [f"## [{title_of(plan)}]({folder.name}/{README})", "", *quoted(described.note)]
        lines += [
            f"Factors: {', '.join(plan.levels)}; "
            f"{'; '.join(short_facts(described, known_runs(described)))}. "
            f"With pictures: [{PAGE}]({folder.name}/{PAGE}). Made by",
            "",
            f"    {described.command}",
            "",
        ]
        lines += [
            f"- {MARKS[sentence.tone]} {markdown_text(sentence.text)}"
            for sentence in opening_of(folder, described)
        ]
        lines.append("")
    write_atomically(out / README, "\n".join(lines).encode())
