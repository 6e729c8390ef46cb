"""Tables for people and for files: formatted cells, and every format a table can be written in.

A presentation holds a row a submission and a column a metric: "27.7 [26.9, 28.4]" with an arrow in
the heading, below it what a perfect submission scores. Bold marks a value only when it is
significantly the best. Each sink escapes what it would act upon: a spreadsheet formulas, LaTeX and
Markdown their marks, HTML its tags.
"""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.errors import NothingFoundError, UsageError
from bench.records.score_record import ScoreRecord, ScoreValue
from bench.tables.frame import best_marks, table
from bench.tables.numbers import number, value_with_interval
from bench.tables.significance import comparable

ARROWS = {"lower": "↓", "higher": "↑", "target": "≈"}
MEANING = "↓ lower is better, ↑ higher is better, ≈ nearer to perfect is better"
NOTE = (
    f"{MEANING}. [low, high]: 95 % interval for the draw of the images, around the value less its "
    "bias. Bold: significantly better than every other row. Perfect: what real images score."
)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "≈": r"$\approx$",
}


@dataclass(frozen=True)
class Presentation:
    """Records of one protocol as a table of text.

    `cells` has a row for each of `records`, then `num_perfect` rows of what perfect submissions of
    their sizes score; `best` says which cells are significantly the best.
    """

    title: str
    records: tuple[ScoreRecord, ...]
    metrics: tuple[str, ...]
    cells: pd.DataFrame
    best: pd.DataFrame
    num_perfect: int


def heading(entry: ScoreValue) -> str:
    """The metric's name and its arrow."""
    return f"{entry.metric} {ARROWS[entry.direction]}"


def labels(records: Sequence[ScoreRecord]) -> list[str]:
    """Names of the submissions, with the digest of the images where two share a name."""
    names = [record.submission.name for record in records]
    return [
        name if names.count(name) == 1 else f"{name} ({record.submission.sequence_digest[:8]})"
        for name, record in zip(names, records, strict=True)
    ]


def protocol_title(record: ScoreRecord) -> str:
    """Reference and extractor of a record, in words."""
    subset = "" if record.subset is None else f", subset of {record.subset:,}"
    return f"against {record.reference.name}, extractor {record.extractor.label}{subset}"


def present(records: Iterable[ScoreRecord]) -> list[Presentation]:
    """A presentation for each protocol among the records. Raises `NothingFoundError` for none."""
    records = list(records)
    if not records:
        raise NothingFoundError("no records to make a table of")
    marks = best_marks(records)
    return [_present(group, marks) for group in comparable(records)]


def _present(group: list[ScoreRecord], marks: set[tuple[int, str]]) -> Presentation:
    first: dict[str, ScoreValue] = {}
    for record in group:
        for entry in record.values:
            first.setdefault(entry.metric, entry)
    rows, best = [], []
    for record in group:
        entries = {entry.metric: entry for entry in record.values}
        rows.append(
            [value_with_interval(entries[name]) if name in entries else "-" for name in first]
        )
        best.append([(id(record), name) in marks for name in first])
    perfect: dict[int, list[str]] = {}
    for record in group:
        expected = {entry.metric: entry.expected for entry in record.values}
        cells = [number(expected.get(name)) for name in first]
        perfect.setdefault(record.submission.num_images, cells)
    index = [*labels(group), *(f"perfect ({n:,} images)" for n in perfect)]
    columns = [heading(entry) for entry in first.values()]
    best += [[False] * len(first) for _ in perfect]
    return Presentation(
        title=protocol_title(group[0]),
        records=tuple(group),
        metrics=tuple(first),
        cells=pd.DataFrame([*rows, *perfect.values()], index=index, columns=columns),
        best=pd.DataFrame(best, index=index, columns=columns),
        num_perfect=len(perfect),
    )


def csv_cell(text: str) -> str:
    """Text that a spreadsheet does not take for a formula, on one line."""
    line = text.replace("\r", " ").replace("\n", " ")
    return f"'{line}" if text.startswith(FORMULA) else line


def latex_text(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in _one_line(text))


def markdown_text(text: str) -> str:
    """Text that stays text in a Markdown table: no bars, tags, links or emphasis of its own."""
    escaped = re.sub(r"([\\`*_{}\[\]<>|#~!])", r"\\\1", _one_line(text))
    return escaped.replace("&", "&amp;").replace("@", "&#64;").replace("://", ":&#47;/")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def to_csv(records: Sequence[ScoreRecord]) -> str:
    """The tidy table, a line each value."""
    frame = table(records)
    for name in frame.select_dtypes(["string"]):
        frame[name] = frame[name].map(csv_cell, na_action="ignore")
    return frame.to_csv(index=False, lineterminator="\n")


def to_json(records: Sequence[ScoreRecord]) -> str:
    """The tidy table as a list of objects."""
    rows = json.loads(table(records).to_json(orient="records", double_precision=15))
    return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_parquet(records: Sequence[ScoreRecord]) -> bytes:
    """The tidy table. Raises `UsageError` without pyarrow."""
    buffer = io.BytesIO()
    try:
        table(records).to_parquet(buffer, index=False)
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow: pip install 'latentbench[parquet]', or choose another --format"
        ) from error
    return buffer.getvalue()


def to_markdown(records: Sequence[ScoreRecord]) -> str:
    """Markdown tables, a metric a row, which stay narrow: a column for each submission."""
    parts = []
    for shown in present(records):
        names = [markdown_text(str(name)) for name in shown.cells.index]
        lines = [f"**{markdown_text(shown.title)}**", "", f"| metric | {' | '.join(names)} |"]
        lines.append("|---|" + "---:|" * len(names))
        for column in shown.cells:
            cells = _marked(shown, column, lambda text: f"**{text}**", markdown_text)
            lines.append(f"| {markdown_text(str(column))} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, markdown_text(NOTE)]) + "\n"


def to_latex(records: Sequence[ScoreRecord]) -> str:
    """LaTeX tables (package booktabs), a metric a row."""
    parts = []
    for shown in present(records):
        names = [latex_text(str(name)) for name in shown.cells.index]
        columns = "l" + "r" * len(names)
        lines = [f"% {_one_line(shown.title)}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
        lines += [f"metric & {' & '.join(names)} " + r"\\", r"\midrule"]
        for column in shown.cells:
            cells = _marked(shown, column, lambda text: rf"\textbf{{{text}}}", latex_text)
            lines.append(f"{latex_text(str(column))} & {' & '.join(cells)} " + r"\\")
        parts.append("\n".join([*lines, r"\bottomrule", r"\end{tabular}"]))
    return "\n\n".join([f"% {NOTE}", *parts]) + "\n"


def to_html(records: Sequence[ScoreRecord]) -> str:
    """HTML tables without any style, a submission a row."""
    parts = []
    for shown in present(records):
        heads = "".join(f'<th scope="col">{html.escape(str(c))}</th>' for c in shown.cells)
        rows = []
        columns = [
            _marked(shown, column, lambda text: f"<strong>{text}</strong>", html.escape)
            for column in shown.cells
        ]
        for position, name in enumerate(shown.cells.index):
            cells = "".join(f"<td>{column[position]}</td>" for column in columns)
            rows.append(f'<tr><th scope="row">{html.escape(str(name))}</th>{cells}</tr>')
        parts.append(
            f"<table>\n<caption>{html.escape(shown.title)}</caption>\n<thead><tr>"
            f'<th scope="col">submission</th>{heads}</tr></thead>\n<tbody>\n'
            + "\n".join(rows)
            + "\n</tbody>\n</table>"
        )
    return "\n".join([*parts, f"<p>{html.escape(NOTE)}</p>"]) + "\n"


def _marked(
    shown: Presentation,
    column: Hashable,
    bold: Callable[[str], str],
    escape: Callable[[str], str],
) -> list[str]:
    return [
        bold(escape(text)) if best else escape(text)
        for text, best in zip(shown.cells[column], shown.best[column], strict=True)
    ]


FORMATS: dict[str, Callable[[Sequence[ScoreRecord]], str | bytes]] = {
    "csv": to_csv,
    "json": to_json,
    "latex": to_latex,
    "html-table": to_html,
    "parquet": to_parquet,
}
