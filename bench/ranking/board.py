"""A ranking as files: a page, a page for each team, and tables in CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from markupsafe import Markup

from bench.intake import sanitise
from bench.metrics import METRICS, known_metric
from bench.ranking.places import ALPHA
from bench.ranking.rank import Ranking, Row
from bench.records.score_record import ScoreValue, safe_file_name
from bench.reporting.figures import comparison_pictures
from bench.reporting.picture import Picture
from bench.reporting.sentence import Sentence
from bench.reporting.templating import CSS, JS, asset, environment, policy
from bench.runtime.provenance import version
from bench.runtime.whole_files import write_atomically
from bench.tables.directions import DIRECTIONS
from bench.tables.escaping import csv_cell, latex_text, markdown_table, markdown_text
from bench.tables.numbers import bounds, counted, fixed, number, value_text
from bench.tables.presentation import column_places

MATRIX_ROWS = 40  # beyond, the matrix is only in its CSV file
BAR_PX = 120
PLOT_ROWS = 40  # the best teams, that plots show
MAX_PLACES = 3  # decimals of a column
FIRST_PLOTS = 4  # the others are folded
TABLES = ("board.csv", "board.md", "board.tex", "pairs.csv")


@dataclass(frozen=True)
class Cell:
    """A value in the table: its text, its interval, and what the column is sorted by."""

    text: str
    bounds: str = ""
    sort: str = ""
    bar: Bar | None = None


@dataclass(frozen=True)
class Bar:
    """An interval as a picture: its ends and its value, in px of `BAR_PX`."""

    low: float
    high: float
    value: float


@dataclass(frozen=True)
class Line:
    """A row of the table."""

    name: str
    place: int
    starts_group: bool
    cells: list[Cell]
    page: str = ""


def write_board(ranking: Ranking, out: Path) -> Path:
    """Write the files of a board into a folder, and return the page.

    Pages of teams that are no longer on the board are removed. Raises `OSError`.
    """
    names = ranking.names
    pages = _write_team_pages(ranking, out / "teams", names)
    for name, text in zip(
        TABLES,
        (
            _csv(ranking, names),
            _markdown(ranking, names),
            _latex(ranking, names),
            _pairs(ranking, names),
        ),
        strict=True,
    ):
        write_atomically(out / name, text.encode("utf-8", "replace"))
    write_atomically(out / "index.html", page(ranking, pages).encode("utf-8", "replace"))
    return out / "index.html"


def page(ranking: Ranking, pages: Mapping[int, str]) -> str:
    """Return the HTML of the board. `pages` are the addresses of team pages by submission."""
    names, metrics = ranking.names, _metrics(ranking)
    css = asset(CSS) + _asset("board.css")
    js = asset(JS) + _asset("board.js")
    plots, axis = _plots(ranking), _axis(ranking)
    template = environment("bench.ranking").get_template("board.html.j2")
    return template.render(
        policy=policy(css, js),
        css=Markup(css),  # noqa: S704  (files of this package)
        js=Markup(js),  # noqa: S704
        version=version(),
        title="Leaderboard",
        facts=_facts(ranking),
        summary=_summary(ranking, names),
        columns=[_column(ranking, metric) for metric in metrics],
        first_columns=[metric in _shown_first(ranking) for metric in metrics],
        lines=_lines(ranking, names, metrics, pages),
        perfect=_perfect(ranking, metrics),
        scale="logarithmic" if axis is not None and axis.is_log else "linear",
        unranked=[
            (sanitise(names[row.entry.team]), row.reason, pages.get(row.entry.id, ""))
            for row in ranking.rows
            if row.place is None
        ],
        plots=plots[:FIRST_PLOTS],
        more_plots=plots[FIRST_PLOTS:],
        plot_rows=PLOT_ROWS if len(ranking.ranked) > PLOT_ROWS else 0,
        matrix=_matrix(ranking, names),
        matrix_metric=ranking.matrix.metric if ranking.matrix else "",
        tables=TABLES,
        bar_px=BAR_PX,
        alpha=ALPHA,
    )


def _write_team_pages(ranking: Ranking, folder: Path, names: Mapping[str, str]) -> dict[int, str]:
    pages: dict[int, str] = {}
    for row in ranking.rows:
        if row.page is not None:
            name = f"{safe_file_name(names[row.entry.team])}-{row.entry.id}.html"
            write_atomically(folder / name, row.page.read_bytes())
            pages[row.entry.id] = f"teams/{name}"
    if folder.is_dir():
        kept = {Path(page).name for page in pages.values()}
        for path in folder.glob("*.html"):
            if path.name not in kept:
                path.unlink()
        if not kept:
            shutil.rmtree(folder)
    return pages


def _plots(ranking: Ranking) -> list[Picture]:
    """Return a plot for each metric, those of the ranking and of the summary first."""
    rows = ranking.ranked[:PLOT_ROWS]
    if len(rows) < 2:
        return []
    chosen = _metrics(ranking)
    order = [*dict.fromkeys([*(m for m in chosen if m in _shown_first(ranking)), *chosen])]
    records = []
    for row in rows:
        values = _values(row)
        if row.record is not None:
            found = tuple(values[metric] for metric in order if metric in values)
            records.append(row.record.model_copy(update={"values": found}))
    names = [sanitise(ranking.names[row.entry.team]) for row in rows]
    return comparison_pictures(names, records, {})


def _metrics(ranking: Ranking) -> list[str]:
    """The metrics of the ranking first, then the others in the order of the records."""
    first = list(ranking.weights or ranking.by)
    found = dict.fromkeys(first)
    for row in ranking.ranked:
        found |= dict.fromkeys(_values(row))
    return list(found)


def _shown_first(ranking: Ranking) -> set[str]:
    """Metrics whose columns are shown before anybody chooses."""
    summary = {name for name in METRICS.own if METRICS[name].highlight}
    return {*ranking.by, *ranking.weights, *summary}


def _values(row: Row) -> dict[str, ScoreValue]:
    return {} if row.record is None else {entry.metric: entry for entry in row.record.values}


def _column(ranking: Ranking, metric: str) -> dict[str, str]:
    entry = next((_values(row)[metric] for row in ranking.ranked if metric in _values(row)), None)
    direction = DIRECTIONS[entry.direction] if entry else None
    return {
        "name": metric,
        "arrow": direction.arrow if direction else "",
        "words": direction.phrase if direction else "",
        "first": "descending" if entry and entry.direction == "higher" else "ascending",
    }


def _lines(
    ranking: Ranking, names: Mapping[str, str], metrics: Sequence[str], pages: Mapping[int, str]
) -> list[Line]:
    axis = _axis(ranking)
    places = _places(ranking)
    lines, last = [], None
    for row in ranking.ranked:
        values = _values(row)
        cells = [
            _cell(values.get(metric), places.get(metric), axis if metric == metrics[0] else None)
            for metric in metrics
        ]
        place = row.place or 0
        name = sanitise(names[row.entry.team])
        lines.append(Line(name, place, place != last, cells, pages.get(row.entry.id, "")))
        last = place
    return lines


def _perfect(ranking: Ranking, metrics: Sequence[str]) -> list[str]:
    """Return what perfect images score, "" where submissions of several sizes differ in it."""
    places = _places(ranking)
    cells = []
    for metric in metrics:
        found = {_values(row)[metric].expected for row in ranking.ranked if metric in _values(row)}
        known = [value for value in found if value is not None]
        digits = places.get(metric)
        if len(found) != 1 or not known:
            cells.append("")
        else:
            cells.append(number(known[0]) if digits is None else fixed(known[0], digits))
    return cells


def _places(ranking: Ranking) -> dict[str, int | None]:
    """Return the decimals of each metric's column: those of its narrowest interval, at most 3."""
    found = column_places([row.record for row in ranking.ranked if row.record is not None])
    return {
        name: None if places is None else min(places, MAX_PLACES) for name, places in found.items()
    }


@dataclass(frozen=True)
class Axis:
    """The range that bars of intervals share; logarithmic where plots of the metric are."""

    low: float
    high: float
    is_log: bool

    def px(self, x: float) -> float:
        """Return the place of a value in px of `BAR_PX`."""
        low, high, x = self.low, self.high, min(max(x, self.low), self.high)
        if self.is_log:
            low, high, x = math.log(low), math.log(high), math.log(x)
        return round((x - low) / (high - low) * BAR_PX, 1)


def _axis(ranking: Ranking) -> Axis | None:
    """Return the axis of the first metric, from 0 where it is linear and no value is negative."""
    first = next(iter(_metrics(ranking)), "")
    entries = [_values(row)[first] for row in ranking.ranked if first in _values(row)]
    values = [entry.value for entry in entries if entry.value is not None]
    found = [entry.interval for entry in entries if entry.interval is not None]
    every = [*values, *(end for one in found for end in (one.low, one.high))]
    if not every:
        return None
    metric = known_metric(first)
    is_log = metric is not None and metric.scale == "log" and min(values) > 0
    # an end of an interval may be 0; the axis then begins below the smallest value
    low = max(min(every), min(values) / 2) if is_log else min(0.0, *every)
    return Axis(low, max(every), is_log) if max(every) > low else None


def _cell(entry: ScoreValue | None, places: int | None, axis: Axis | None) -> Cell:
    if entry is None or entry.value is None:
        return Cell("–" if entry is None else "none")
    shown = bounds(entry.interval, places) if entry.interval else ""
    bar = None
    if axis is not None:
        ends = (entry.interval.low, entry.interval.high) if entry.interval else (entry.value,) * 2
        bar = Bar(*(axis.px(x) for x in (*ends, entry.value)))
    return Cell(value_text(entry, places), shown, repr(entry.value), bar)


def _facts(ranking: Ranking) -> list[str]:
    facts = [f"against {sanitise(ranking.reference)}"] if ranking.reference else []
    facts += [f"ranked by {_by(ranking)}", f"{len(ranking.ranked)} ranked"]
    others = len(ranking.rows) - len(ranking.ranked)
    facts += [f"{others} not ranked"] if others else []
    return facts + ([f"deadline {ranking.deadline}"] if ranking.deadline else [])


def _by(ranking: Ranking) -> str:
    if ranking.weights:
        return " + ".join(
            f"{weight:g} × place in {name}" for name, weight in ranking.weights.items()
        )
    return ", then ".join(ranking.by)


def _summary(ranking: Ranking, names: Mapping[str, str]) -> list[Sentence]:
    first = [row for row in ranking.ranked if row.place == 1]
    found = []
    if len(first) == 1:
        found.append(Sentence("good", f"{sanitise(names[first[0].entry.team])} is first."))
    elif first:
        shown = ", ".join(sanitise(names[row.entry.team]) for row in first[:5])
        more = f" and {len(first) - 5} more" if len(first) > 5 else ""
        found.append(
            Sentence(
                "note", f"{shown}{more} share the first place: they do not differ significantly."
            )
        )
    else:
        found.append(Sentence("bad", "No submission could be ranked."))
    others = [row for row in ranking.rows if row.place is None]
    if others:
        verb = "is" if len(others) == 1 else "are"
        found.append(
            Sentence(
                "gap",
                f"{counted(len(others), 'submission')} {verb} not ranked; the reasons are below.",
            )
        )
    return found


def _matrix(ranking: Ranking, names: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    matrix = ranking.matrix
    if matrix is None or not 2 <= len(ranking.ranked) <= MATRIX_ROWS:
        return []
    return [
        (
            sanitise(names[row.entry.team]),
            ["" if i == j else _p(matrix.p_values[i, j]) for j in range(len(ranking.ranked))],
        )
        for i, row in enumerate(ranking.ranked)
    ]


def _p(value: float) -> str:
    return "<.001" if value < 0.001 else f"{value:.3f}".lstrip("0") if value < 1 else "1"


def _csv(ranking: Ranking, names: Mapping[str, str]) -> str:
    metrics = _metrics(ranking)
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n").writerow
    heads = [f"{metric}{end}" for metric in metrics for end in ("", "_low", "_high")]
    write(["place", "name", *heads, "reason"])
    for row in ranking.rows:
        values, numbers = _values(row), []
        for metric in metrics:
            entry = values.get(metric)
            interval = entry.interval if entry else None
            numbers += [
                "" if entry is None or entry.value is None else repr(entry.value),
                repr(interval.low) if interval else "",
                repr(interval.high) if interval else "",
            ]
        write(
            [row.place or "", csv_cell(names[row.entry.team]), *numbers, csv_cell(row.reason or "")]
        )
    return text.getvalue()


def _pairs(ranking: Ranking, names: Mapping[str, str]) -> str:
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n").writerow
    write(["metric", "name", "other", "difference", "p_holm"])
    matrix = ranking.matrix
    rows = ranking.ranked if matrix else ()
    for i, one in enumerate(rows):
        for j, other in enumerate(rows[:i]):
            assert matrix is not None  # noqa: S101
            figures = (repr(float(matrix.differences[i, j])), repr(float(matrix.p_values[i, j])))
            shown = (csv_cell(names[row.entry.team]) for row in (one, other))
            write([matrix.metric, *shown, *figures])
    return text.getvalue()


def _markdown(ranking: Ranking, names: Mapping[str, str]) -> str:
    metrics = _metrics(ranking)
    rows = [
        [
            markdown_text(sanitise(names[row.entry.team])),
            "" if row.place is None else str(row.place),
            *(_text(_values(row).get(metric)) for metric in metrics),
            markdown_text(sanitise(row.reason or "")),
        ]
        for row in ranking.rows
    ]
    return "\n".join([*markdown_table(["name", "place", *metrics, "not ranked"], rows), ""])


def _latex(ranking: Ranking, names: Mapping[str, str]) -> str:
    metrics = [metric for metric in _metrics(ranking) if metric in _shown_first(ranking)]
    lines = [rf"\begin{{tabular}}{{rl{'r' * len(metrics)}}}", r"\hline"]
    lines += [" & ".join(["place", "name", *map(latex_text, metrics)]) + r" \\", r"\hline"]
    for row in ranking.ranked:
        values = [_text(_values(row).get(metric)) for metric in metrics]
        name = latex_text(sanitise(names[row.entry.team]))
        lines.append(" & ".join([str(row.place), name, *map(latex_text, values)]) + r" \\")
    return "\n".join([*lines, r"\hline", r"\end{tabular}", ""])


def _text(entry: ScoreValue | None) -> str:
    if entry is None or entry.value is None:
        return "-"
    return (
        f"{number(entry.value)} {bounds(entry.interval)}" if entry.interval else number(entry.value)
    )


def _asset(name: str) -> str:
    return resources.files("bench.ranking").joinpath("templates", name).read_text(encoding="utf-8")
