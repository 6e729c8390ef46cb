"""The section of the benchmark's page about anomalies among the training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.anomaly.benchmark.plan import LECTURE_PAIR
from bench.anomaly.benchmark.rows import Row
from bench.anomaly.benchmark.sentences import name_of
from bench.anomaly.choices import variant
from bench.plots import new_figure, save_figure
from bench.plots.benchmark import plot_contamination

TEXT = """The training images contain a given share of unmarked images of one other class. AUC is \
in percent, on the test images of the two classes; the 95 % interval describes another draw of \
these. Each detector is fitted once, with the first seed: the intervals hold training images and \
seed fixed."""

MAX_NAMED = 10  # pairs of classes in a heading


class Panel(NamedTuple):
    """One table and one plot: rows by variant and share. `detail` appears in the table only."""

    title: str
    curves: Mapping[str, Mapping[float, Row]]
    detail: str = ""


def contamination_lines(data: str, rows: Sequence[Row]) -> list[str]:
    """Return the lines of the section from rows of both kinds."""
    lines = ["### Anomalies among the training images", "", TEXT, ""]
    lines += [f"![AUC against contamination]({data}-contamination.svg)", ""]
    for panel in panels_of(rows):
        lines += [f"{panel.title}{panel.detail}:", "", *_share_table(panel.curves)]
    return lines


def draw_contamination(path: Path, rows: Sequence[Row]) -> None:
    """Plot every table. A detector has one colour in all plots; the legend follows the last one."""
    panels = panels_of(rows)
    order = list(dict.fromkeys(name for panel in reversed(panels) for name in panel.curves))
    figure = new_figure(4.2 * len(panels) + 1.8, 3.8)
    figure.set_facecolor("white")
    axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    for ax, panel in zip(axes, panels, strict=True):
        curves = {
            name: {share: 100 * row["auc"] for share, row in sorted(points.items())}
            for name, points in panel.curves.items()
        }
        plot_contamination(curves, ax=ax, title=panel.title, order=order, named=panel is panels[-1])
    save_figure(figure, path)


def panels_of(rows: Sequence[Row]) -> list[Panel]:
    """Return a panel for the pair of the lecture, and one for every mean over pairs. Without a
    mean, each pair has a panel.
    """
    means = [row for row in rows if row["kind"] == "contamination-mean"]
    single = [row for row in rows if row["kind"] == "contamination"]
    pairs = sorted({_pair(row) for row in single})
    shown = [pair for pair in pairs if pair == LECTURE_PAIR or not means]
    panels = [
        Panel(
            f"Normal {pair[0]}, {pair[1]} mixed in",
            _curves([row for row in single if _pair(row) == pair]),
        )
        for pair in shown
    ]
    for pairs in sorted({row["pairs"] for row in means}, key=len):
        own = [row for row in means if row["pairs"] == pairs]
        num = own[0]["num_pairs"]
        detail = f" ({pairs})" if num <= MAX_NAMED else ""
        panels.append(Panel(f"Mean over {num} pairs of classes", _curves(own), detail))
    return panels


def _pair(row: Row) -> tuple[int, int]:
    return row["normal_class"], row["contaminant"]


def _curves(rows: Sequence[Row]) -> dict[str, dict[float, Row]]:
    found: dict[str, dict[float, Row]] = {}
    for row in rows:
        name = variant(row["detector"], row["budget"], row["extractor"])
        found.setdefault(name, {})[row["share"]] = row
    last = max(share for points in found.values() for share in points)
    return dict(sorted(found.items(), key=lambda item: -item[1].get(last, {"auc": 0.0})["auc"]))


def _share_table(curves: Mapping[str, Mapping[float, Row]]) -> list[str]:
    shares = sorted({share for points in curves.values() for share in points})
    lines = [
        f"| detector | {' | '.join(f'{share:.0%}' for share in shares)} |",
        f"|---|{'---:|' * len(shares)}",
    ]
    for points in curves.values():
        cells = [_cell(points.get(share)) for share in shares]
        lines.append(f"| {name_of(next(iter(points.values())))} | {' | '.join(cells)} |")
    return [*lines, ""]


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    text = f"{100 * row['auc']:.1f}"
    if row["low"] is None:
        return text
    return f"{text} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
