"""Score tables as CSV, JSON, Parquet, Markdown, LaTeX and HTML.

CSV, JSON and Parquet hold the tidy table (`bench.tables.frame`) for programs; the others hold the
presentation (`bench.tables.presentation`) for people. Every format escapes what it would act upon.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Hashable, Sequence

from bench.errors import UsageError
from bench.records.score_record import ScoreRecord
from bench.tables.escaping import (
    csv_cell,
    html_text,
    latex_text,
    markdown_table,
    markdown_text,
    one_line,
)
from bench.tables.frame import table
from bench.tables.presentation import NOTE, Presentation, present


def to_csv(records: Sequence[ScoreRecord]) -> str:
    """Return the tidy table as CSV, one line for each value."""
    frame = table(records)
    for name in frame.select_dtypes(["string"]):
        frame[name] = frame[name].map(csv_cell, na_action="ignore")
    return frame.to_csv(index=False, lineterminator="\n")


def to_json(records: Sequence[ScoreRecord]) -> str:
    """Return the tidy table as a JSON list with one object for each value."""
    rows = json.loads(table(records).to_json(orient="records", double_precision=15))
    return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_parquet(records: Sequence[ScoreRecord]) -> bytes:
    """Return the tidy table as Parquet. Raises `UsageError` without pyarrow."""
    buffer = io.BytesIO()
    try:
        table(records).to_parquet(buffer, index=False)
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow: pip install pyarrow, or choose another --format"
        ) from error
    return buffer.getvalue()


def to_markdown(records: Sequence[ScoreRecord]) -> str:
    """Return Markdown tables with a metric in each row, narrow enough for a pull request."""
    parts = []
    for shown in present(records):
        rows = []
        for column in shown.cells:
            cells = _marked(shown, column, lambda text: f"**{text}**", markdown_text)
            rows.append([markdown_text(str(column)), *cells])
        heads = ["metric", *(markdown_text(str(name)) for name in shown.cells.index)]
        title = f"**{markdown_text(shown.title)}**"
        parts.append("\n".join([title, "", *markdown_table(heads, rows)]))
    return "\n\n".join([*parts, markdown_text(NOTE)]) + "\n"


def to_latex(records: Sequence[ScoreRecord]) -> str:
    """Return LaTeX tables (package booktabs) with a metric in each row."""
    parts = []
    for shown in present(records):
        names = [latex_text(str(name)) for name in shown.cells.index]
        columns = "l" + "r" * len(names)
        lines = [f"% {one_line(shown.title)}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
        lines += [f"metric & {' & '.join(names)} " + r"\\", r"\midrule"]
        for column in shown.cells:
            cells = _marked(shown, column, lambda text: rf"\textbf{{{text}}}", latex_text)
            lines.append(f"{latex_text(str(column))} & {' & '.join(cells)} " + r"\\")
        parts.append("\n".join([*lines, r"\bottomrule", r"\end{tabular}"]))
    return "\n\n".join([f"% {NOTE}", *parts]) + "\n"


def to_html(records: Sequence[ScoreRecord]) -> str:
    """Return HTML tables without styles, with a submission in each row."""
    parts = []
    for shown in present(records):
        heads = "".join(f'<th scope="col">{html_text(str(c))}</th>' for c in shown.cells)
        rows = []
        columns = [
            _marked(shown, column, lambda text: f"<strong>{text}</strong>", html_text)
            for column in shown.cells
        ]
        for position, name in enumerate(shown.cells.index):
            cells = "".join(f"<td>{column[position]}</td>" for column in columns)
            rows.append(f'<tr><th scope="row">{html_text(str(name))}</th>{cells}</tr>')
        parts.append(
            f"<table>\n<caption>{html_text(shown.title)}</caption>\n<thead><tr>"
            f'<th scope="col">submission</th>{heads}</tr></thead>\n<tbody>\n'
            + "\n".join(rows)
            + "\n</tbody>\n</table>"
        )
    return "\n".join([*parts, f"<p>{html_text(NOTE)}</p>"]) + "\n"


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
