"""A summary card: one PNG of 1200 x 630 px with the main numbers, for chats and slides."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.metrics import known_metric
from bench.plots import contact_sheet, figure_png
from bench.plots.comparison import shortened
from bench.plots.palette import GRID, INK, MUTED, YOURS
from bench.records.score_record import ScoreRecord
from bench.reporting.sources import Scored
from bench.reporting.words import sentences
from bench.tables.numbers import counted, number, value_text
from bench.tables.presentation import first_entries, heading, labels, present, protocol_title

SIZE_IN, DPI = (12.0, 6.3), 100
LEFT, RIGHT = 0.045, 0.955
MAX_SHOWN = 5  # metrics
MAX_ROWS = 9
TEXT_TOP, TEXT_BOTTOM, LINE = 0.76, 0.365, 0.047
SHEET_COLUMNS, SHEET_ROWS = 10, 5


def card(scored: Sequence[Scored]) -> bytes:
    """Return the card as PNG: sentences and images of one submission, or a table of several."""
    records = [one.record for one in scored]
    figure = Figure(figsize=SIZE_IN, facecolor="white")
    figure.add_artist(Rectangle((0, 0.985), 1, 0.015, color=YOURS, linewidth=0))
    names = labels(records)
    title = names[0] if len(records) == 1 else counted(len(records), "submission")
    _write(figure, LEFT, 0.915, textwrap.shorten(title, 48, placeholder="…"), 24, weight="bold")
    _write(figure, LEFT, 0.845, _subtitle(records), 12, color=MUTED)
    _write(figure, RIGHT, 0.915, "Latentbench", 12, color=MUTED, ha="right", weight="bold")
    if len(records) == 1:
        _one(figure, scored[0])
    else:
        _several(figure, records, names)
    return figure_png(figure, dpi=DPI)


def _write(figure: Figure, x: float, y: float, text: str, size: float, **style: Any) -> None:
    text = "".join(c if c.isprintable() else " " for c in text)
    settings: dict[str, Any] = {"color": INK, "va": "center", "parse_math": False} | style
    figure.text(x, y, text, fontsize=size, **settings)


def _subtitle(records: Sequence[ScoreRecord]) -> str:
    titles = list(dict.fromkeys(protocol_title(record) for record in records))
    counts = sorted({record.submission.num_images for record in records})
    images = " to ".join(f"{n:,}" for n in dict.fromkeys((counts[0], counts[-1])))
    each = " each" if len(records) > 1 else ""
    more = f" and {counted(len(titles) - 1, 'other protocol')}" if len(titles) > 1 else ""
    return textwrap.shorten(f"{images} images{each}, {titles[0]}{more}", 100, placeholder="…")


def _shown(names: Iterable[str]) -> list[str]:
    """Return the metrics that fit on a card: those with `highlight`, else the first ones."""
    names = list(names)
    asked = [name for name in names if (metric := known_metric(name)) and metric.highlight]
    return (asked or names)[:MAX_SHOWN]


def _one(figure: Figure, one: Scored) -> None:
    entries = {entry.metric: entry for entry in one.record.values}
    metrics = _shown(entries)
    width = (RIGHT - LEFT) / max(len(metrics), 1)
    for place, name in enumerate(metrics):
        entry, x = entries[name], LEFT + place * width
        _write(figure, x, 0.27, heading(entry), 12, color=MUTED)
        _write(figure, x, 0.185, value_text(entry), 26, weight="bold")
        _write(figure, x, 0.1, f"perfect {number(entry.expected)}", 12, color=MUTED)
    figure.add_artist(Rectangle((LEFT, 0.325), RIGHT - LEFT, 0.002, color=GRID, linewidth=0))
    images = one.exhibits.get("sample_images")
    room = 50 if images is not None else 96
    y = TEXT_TOP
    for sentence in sentences(one):
        lines = textwrap.wrap(textwrap.shorten(sentence.text, 2 * room - 8, placeholder=" …"), room)
        if y - LINE * (len(lines) - 1) < TEXT_BOTTOM:
            break
        for line in lines:
            _write(figure, LEFT, y, line, 13)
            y -= LINE
        y -= 0.018
    if images is not None and len(images):
        shown = np.asarray(images[: SHEET_COLUMNS * SHEET_ROWS], np.uint8)
        ax = figure.add_axes((0.56, 0.36, RIGHT - 0.56, 0.45), anchor="NE")
        ax.imshow(contact_sheet(shown, SHEET_COLUMNS), interpolation="none")
        ax.set_axis_off()


def _several(figure: Figure, records: Sequence[ScoreRecord], names: Sequence[str]) -> None:
    shown = present(records)
    best = {
        (id(record), metric)
        for group in shown
        for place, record in enumerate(group.records)
        for column, metric in enumerate(group.metrics)
        if group.best.iat[place, column]
    }
    held = first_entries(records)
    metrics = _shown(held)
    places = np.linspace(0.46, RIGHT, len(metrics)) if len(metrics) > 1 else np.array([RIGHT])
    for x, name in zip(places, metrics, strict=True):
        _write(figure, x, 0.765, heading(held[name]), 11, color=MUTED, ha="right")
    y = 0.70
    for record, name in list(zip(records, names, strict=True))[:MAX_ROWS]:
        entries = {entry.metric: entry for entry in record.values}
        _write(figure, LEFT, y, shortened(name), 13)
        for x, metric in zip(places, metrics, strict=True):
            text = value_text(entries[metric]) if metric in entries else "-"
            weight = "bold" if (id(record), metric) in best else "normal"
            _write(figure, x, y, text, 13, ha="right", weight=weight)
        y -= 0.062
    expected = {entry.metric: entry.expected for entry in records[0].values}
    _write(figure, LEFT, y - 0.01, "perfect", 13, color=MUTED)
    for x, metric in zip(places, metrics, strict=True):
        _write(figure, x, y - 0.01, number(expected.get(metric)), 13, color=MUTED, ha="right")
    hidden = len(records) - MAX_ROWS
    more = f"{counted(hidden, 'more submission')} not shown. " if hidden > 0 else ""
    _write(figure, LEFT, 0.045, f"{more}Bold: significantly the best.", 10, color=MUTED)
