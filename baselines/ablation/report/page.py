"""A report on an ablation: an HTML page, and README.md with figures. Conclusions come first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup
from PIL import Image

from baselines.ablation.analysis.analyse import Analysis, analyse
from baselines.ablation.analysis.results import RunResult
from baselines.ablation.design.cells import Run
from baselines.ablation.design.short_names import cell_names
from baselines.ablation.report.facts import (
    design_facts,
    run_facts,
    short_facts,
    summary,
    title_of,
)
from baselines.ablation.report.figures import FIGURE_FILES, Shown, figures_of, notes_of
from baselines.ablation.report.folder import (
    About,
    grid_path,
    keep_grids,
    known_runs,
    read_about,
    read_records,
    remove_others,
    write_about,
    write_records,
)
from baselines.ablation.report.frames import TableFormat, write_tables
from baselines.ablation.report.opening import as_text, opening
from baselines.ablation.report.shown_tables import ShownTable, in_section, tables_of, to_markdown
from baselines.ablation.run.plan_jobs import results_of
from bench.execution.ledger.ledger import Ledger
from bench.plots import figure_svg
from bench.reporting.picture import Picture, data_uri, picture_of
from bench.reporting.sentence import MARKS, Sentence
from bench.reporting.templating import CSS, JS, asset, environment, policy
from bench.runtime.provenance import version
from bench.runtime.whole_files import write_atomically
from bench.tables.escaping import markdown_text
from bench.tables.numbers import counted

PAGE, README, TABLES = "report.html", "README.md", "tables"
SECTIONS = {
    "effects": "Effects",
    "interactions": "Interactions",
    "outcomes": "Outcomes",
    "learning": "Over training",
    "tradeoffs": "What it costs",
    "samples": "Samples",
    "cells": "Each cell",
}


class _Report:
    """Everything that both forms show."""

    def __init__(
        self,
        out: Path,
        described: About,
        runs: Sequence[Run],
        results: Mapping[str, RunResult],
        analysis: Analysis,
    ) -> None:
        self.out, self.described, self.runs, self.results = out, described, runs, results
        self.analysis = analysis
        self.title = title_of(self.analysis.plan)
        self.facts = short_facts(described, runs)
        self.sentences: list[Sentence] = summary(self.analysis, described, runs, results)
        self.opening: list[Sentence] = opening(self.analysis, runs)
        self.figures: list[Shown] = figures_of(self.analysis)
        self.notes = notes_of(self.analysis)
        self.tables: list[ShownTable] = tables_of(self.analysis)
        names = cell_names(self.analysis.plan)
        self.labels = {run.cell: names[run.label] for run in runs}
        self.grids = {
            cell: grid_path(out, cell)
            for cell in sorted(self.labels)
            if grid_path(out, cell).is_file()
        }
        self.design = [*design_facts(self.analysis.plan, runs), *run_facts(described, results)]

    def sections(self) -> list[tuple[str, str]]:
        """Return anchors and names of the sections that are not empty."""
        there = {shown.section for shown in self.figures} | {t.section for t in self.tables}
        there |= {"samples"} if self.grids else set()
        middle = [(anchor, name) for anchor, name in SECTIONS.items() if anchor in there]
        return [
            ("short", "In short"),
            ("summary", "Conclusions"),
            *middle,
            ("design", "Design and budget"),
        ]


class Written(NamedTuple):
    """A report that was written: its analysis, and its conclusions."""

    analysis: Analysis
    sentences: Sequence[Sentence]


def write_report(
    out: Path,
    described: About,
    ledger: Ledger | None = None,
    *,
    tables: TableFormat = "csv",
    analysis: Analysis | None = None,
) -> Written:
    """Write records, tables, figures, README.md and the page.

    Results are read from the ledger if one is given, else from the records in `out`. `analysis` is
    their analysis, if it has been computed. Files of an earlier report are removed if this one does
    not have them. Raises `NothingFoundError` without results, before anything is written.
    """
    runs = known_runs(described)
    results = read_records(out) if ledger is None else results_of(ledger, runs)
    analysis = analysis or analyse(described.parsed_plan, results)
    write_about(out, described)
    if ledger is not None:
        write_records(out, runs, results)
        keep_grids(out, runs, ledger)
    report = _Report(out, described, runs, results, analysis)
    write_tables(report.analysis, out / TABLES, tables)
    write_atomically(out / PAGE, _page(report).encode("utf-8", "replace"))
    write_atomically(out / README, _readme(report).encode("utf-8", "replace"))
    remove_others(out, FIGURE_FILES, {f"{shown.name}.svg" for shown in report.figures})
    return Written(report.analysis, report.sentences)


def render_again(out: Path, *, tables: TableFormat = "csv", note: str | None = None) -> Written:
    """Render the report of a folder again, from its ledger if that exists, else from its records.

    `note` replaces the remark shown first. Raises `NothingFoundError` if there is no report.
    """
    described = read_about(out)
    if note is not None:
        described = described.model_copy(update={"note": note})
    place = out / described.ledger
    known = Ledger(place) if (place / "jobs").is_dir() else None
    return write_report(out, described, known, tables=tables)


def opening_of(out: Path, described: About) -> list[Sentence]:
    """Return the opening of the report in `out`."""
    return opening(analyse(described.parsed_plan, read_records(out)), known_runs(described))


def _page(report: _Report) -> str:
    css, js = asset(CSS), asset(JS)
    pictures: dict[str, list[Picture]] = {anchor: [] for anchor in SECTIONS}
    for shown in report.figures:
        pictures[shown.section].append(
            picture_of(shown.figure, alt=shown.alt, caption=shown.caption)
        )
    pictures["samples"] = [
        _grid_picture(path, report.labels[cell]) for cell, path in report.grids.items()
    ]
    return (
        environment("baselines.ablation.report")
        .get_template("ablation.html.j2")
        .render(
            policy=policy(css, js),
            css=Markup(css),  # noqa: S704  (our own file)
            js=Markup(js),  # noqa: S704  (our own file)
            version=version(),
            title=report.title,
            facts=report.facts,
            note=report.described.note,
            sections=report.sections(),
            opening=report.opening,
            sentences=report.sentences,
            pictures=pictures,
            tables={anchor: in_section(report.tables, anchor) for anchor in SECTIONS},
            design=report.design,
            command=report.described.command,
            notes={anchor: report.notes.get(anchor, "") for anchor in SECTIONS},
            made_from=counted(len(report.results), "run"),
        )
    )


def _grid_picture(path: Path, label: str) -> Picture:
    with Image.open(path) as picture:
        width, height = picture.size
    uri = data_uri("image/png", path.read_bytes())
    return Picture(uri, f"Samples of {label}", label, width, height, pixels=True)


def _readme(report: _Report) -> str:
    lines = [f"# {report.title}", ""]
    lines += quoted(report.described.note)
    lines += [f"{'; '.join(report.facts)}. Made by", ""]
    lines += [f"    {report.described.command}", "", "## In short", ""]
    lines += [markdown_text(as_text(report.opening)), "", "## Conclusions", ""]
    lines += [f"- {MARKS[one.tone]} {markdown_text(one.text)}" for one in report.sentences]
    for anchor, name in report.sections()[2:-1]:
        lines += ["", f"## {name}", ""]
        lines += [report.notes[anchor], ""] if anchor in report.notes else []
        for shown in report.figures:
            if shown.section == anchor:
                file = f"{shown.name}.svg"
                shown.figure.set_facecolor("white")
                write_atomically(report.out / file, figure_svg(shown.figure).encode())
                lines += [f"![{shown.alt}]({file})", ""]
                lines += [shown.caption, ""] if shown.caption else []
        for table in in_section(report.tables, anchor):
            lines += [f"### {table.title}", "", *to_markdown(table)]
        if anchor == "samples":
            lines += _grid_lines(report)
    lines += ["", "## Design and budget", "", "| | |", "|---|---|"]
    lines += [f"| {term} | {markdown_text(text)} |" for term, text in report.design]
    lines += [
        "",
        "Each run is in [records.jsonl](records.jsonl), every table in [tables](tables).",
    ]
    return "\n".join(lines) + "\n"


def quoted(note: str | None) -> list[str]:
    """Return the lines of a remark as a Markdown quotation; none for None."""
    return [] if note is None else [f"> {markdown_text(note)}", ""]


def _grid_lines(report: _Report) -> list[str]:
    """Return a Markdown table of samples, two in a row, with their cells below."""
    cells = list(report.grids.items())
    lines = []
    for place in range(0, len(cells), 2):
        pair = cells[place : place + 2]
        if place == 0:
            lines += ["|" + " |" * len(pair), "|" + "---|" * len(pair)]
        row = [
            f"![{report.labels[cell]}]({path.relative_to(report.out)})<br>"
            f"{markdown_text(report.labels[cell])}"
            for cell, path in pair
        ]
        lines.append(f"| {' | '.join(row)} |")
    return lines
