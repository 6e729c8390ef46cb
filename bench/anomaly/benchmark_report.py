"""The page of the one-class benchmark, from its rows: tables, plots, and what they say in words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.anomaly.benchmark import LECTURE_PAIR, Row
from bench.anomaly.published import PUBLISHED, best_published, published_for
from bench.errors import InputError, NothingFoundError
from bench.plots import new_figure, save_figure
from bench.plots.benchmark import DetectorMark, plot_contamination, plot_mean_auc
from bench.stats import write_atomically

RECORDS = "records.jsonl"
IDENTITY = (  # of a row: a later one takes the place of an earlier one
    "kind",
    "data",
    "detector",
    "normal_class",
    "contaminant",
    "share",
    "seed",
    "first",
    "second",
    "command",
)
SEEN = {"none": "", "test": " (oracle)", "outside": " (trained on labels)"}
KINDS = {"none": "no labels", "test": "tuned on test labels", "outside": "features from labels"}
TEXT = """One class is normal, all others are anomalies (Ruff et al. 2018): fitted to the images \
of that class in the train split, judged on the whole test split. AUC in percent, the mean over \
the classes and, of detectors with chance in them, over seeds.

- The interval (95 %) is for another draw of test images, DeLong's components summed over the \
classes image by image, and of seeds; the training images are held fixed.
- *AP* is average precision, *FPR* the false positive rate where 95 % of the anomalies are found, \
*fit* and *score* seconds for one class on the device named below, other work beside it.
- *(oracle)*: tuned on a tenth of the labelled test images and judged on the others. *(trained on \
labels)*: on features of a network that was trained to tell the classes apart. Neither counts for \
a detector without labels.
- `oc-svm`, `isolation-forest` and `kde-exponential` are reproductions: what their papers leave \
open was settled by comparing with the published figures, so their agreement is no independent \
evidence.
- `knn-hog` and `mahalanobis-hog` have the settings of Dalal and Triggs and the k of \
`anomaly_auc`; looked at beside them, and not taken: k = 1 and 2 (0.0 to 0.4 points lower), 18 \
signed orientations (0.1 higher on MNIST, 1.5 lower on Fashion-MNIST), a fixed ridge in place of \
Ledoit and Wolf's (up to 1 point higher for `mahalanobis-hog` on MNIST).
- *published* are figures of the same method from the literature, *difference* ours less theirs.
"""


def keep_rows(path: Path, rows: Iterable[Row]) -> list[Row]:
    """Add rows to a records file, in the place of all that was there of the same detectors, their
    pairs with others included; gives all rows. Raises `InputError` for a file that is none.
    """
    new = list(rows)
    again = {(row["data"], row["detector"]) for row in new if row["kind"] == "mean"}
    kept = {_identity(row): row for row in read_rows(path) if not _is_old(row, again)}
    kept |= {_identity(row): row for row in new}
    ordered = [kept[identity] for identity in sorted(kept, key=json.dumps)]
    text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in ordered)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())
    return ordered


def _is_old(row: Row, again: set[tuple[str, str]]) -> bool:
    """Whether a row is about a detector that has been run again."""
    names = {"class": ("detector",), "pair": ("first", "second")}.get(row["kind"], ())
    return any((row["data"], row[name]) in again for name in names)


def read_rows(path: Path) -> list[Row]:
    """The rows of a records file, none where there is no file. Raises `InputError`."""
    if not path.is_file():
        return []
    try:
        return [json.loads(line) for line in path.read_text().splitlines() if line]
    except ValueError as error:
        raise InputError(f"{path}: not a records file, JSON lines expected: {error}") from error


def _identity(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(key) for key in IDENTITY)


def render_benchmark(out: Path) -> Path:
    """Write README.md and the plots beside the records; gives the page. Raises
    `NothingFoundError` without records.
    """
    rows = read_rows(out / RECORDS)
    if not rows:
        raise NothingFoundError(f"{out / RECORDS}: no records of a benchmark; run it first")
    commands = [f"    {row['command']}" for row in _of_kind(rows, "run")]
    lines = ["# Anomaly detection: the one-class benchmark", "", "Made by", "", *commands, "", TEXT]
    for data in dict.fromkeys(row["data"] for row in rows):
        own = [row for row in rows if row["data"] == data]
        lines += _section(out, data, own)
    page = out / "README.md"
    write_atomically(page, "\n".join(lines).encode())
    return page


def _section(out: Path, data: str, rows: Sequence[Row]) -> list[str]:
    """Everything about one data set."""
    means = sorted(_of_kind(rows, "mean"), key=lambda row: -row["auc"])
    lines = [f"## {data}", ""]
    if means:
        lines += [*_words(data, means, _of_kind(rows, "pair")), ""]
        lines += [f"![mean AUC by detector]({data}.svg)", "", *_mean_table(data, means)]
        lines += ["### By class", "", *_class_table(means, _of_kind(rows, "class"))]
        _draw_means(out / f"{data}.svg", data, means)
    mixed = _of_kind(rows, "contamination")
    if mixed:
        lines += [*_contamination(data, mixed)]
        _draw_contamination(out / f"{data}-contamination.svg", mixed)
    return lines


def _of_kind(rows: Iterable[Row], kind: str) -> list[Row]:
    return [row for row in rows if row["kind"] == kind]


def _mean_table(data: str, means: Sequence[Row]) -> list[str]:
    lines = [
        "| detector | mean AUC | AP | FPR | fit | score | seeds | published | difference |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in means:
        marks = published_for(data, row["detector"])
        theirs = ", ".join(f"{mark.auc_percent:.1f}" for mark in marks)
        apart = ", ".join(_signed(100 * row["auc"] - mark.auc_percent) for mark in marks)
        lines.append(
            f"| `{row['detector']}`{SEEN[row['labels']]}{_short(row)} | {_percents(row)} | "
            f"{100 * row['average_precision']:.1f} | {100 * row['fpr_at_95_tpr']:.1f} | "
            f"{row['fit_s']:.3g} s | {row['score_s']:.3g} s | {row['num_seeds']} | {theirs} | "
            f"{apart} |"
        )
    devices = sorted({row["device"] for row in means})
    ours = {row["detector"] for row in means}
    others = [mark for mark in PUBLISHED if mark.data == data and mark.detector not in ours]
    lines += ["", f"Computed on: {'; '.join(devices)}."]
    if any(row["budget"] == "cpu" for row in means):
        lines.append("*cpu budget*: a shorter training than the published one, for a CPU.")
    if others:
        told = "; ".join(f"{mark.method} {mark.auc_percent} ({mark.source})" for mark in others)
        lines.append(f"Published, and not among ours: {told}.")
    return [*lines, ""]


def _signed(points: float) -> str:
    """With a sign, and no minus before nothing."""
    return f"{round(points, 1) + 0.0:+.1f}"


def _short(row: Row) -> str:
    return ", cpu budget" if row["budget"] == "cpu" else ""


def _percents(row: Mapping[str, Any]) -> str:
    return f"{100 * row['auc']:.2f} [{100 * row['low']:.2f}, {100 * row['high']:.2f}]"


def _class_table(means: Sequence[Row], rows: Sequence[Row]) -> list[str]:
    classes = sorted({row["normal_class"] for row in rows})
    lines = [
        "AUC of each normal class, the mean over seeds; in brackets half the width of the interval "
        "of the first seed (DeLong).",
        "",
        f"| detector | {' | '.join(map(str, classes))} |",
        f"|---|{'---:|' * len(classes)}",
    ]
    for mean in means:
        cells = []
        for normal_class in classes:
            own = [
                row
                for row in rows
                if (row["detector"], row["normal_class"]) == (mean["detector"], normal_class)
            ]
            value = float(np.mean([row["auc"] for row in own]))
            width = (
                "" if own[0]["low"] is None else f" ({50 * (own[0]['high'] - own[0]['low']):.1f})"
            )
            cells.append(f"{100 * value:.1f}{width}")
        lines.append(f"| `{mean['detector']}` | {' | '.join(cells)} |")
    return [*lines, ""]


def _words(data: str, means: Sequence[Row], pairs: Sequence[Row]) -> list[str]:
    """What the tables say: the best without labels, and which simple detector beats which deep
    one, at what cost.
    """
    plain = [row for row in means if row["labels"] == "none"]
    sentences = []
    if plain:
        best, mark = plain[0], best_published(data)
        text = f"The best detector without labels is `{best['detector']}`: {_percents(best)}"
        if mark is not None:
            apart = _signed(100 * best["auc"] - mark.auc_percent)
            text += f", {apart} points from the best published figure we know ({mark.method}, "
            text += f"{mark.auc_percent})"
        sentences.append(text + ".")
    simple = [row for row in plain if not row["trains"]]
    for deep in (row for row in plain if row["trains"]):
        if not all(_are_compared(row, deep, pairs) for row in simple):
            continue
        better = [row for row in simple if _beats(row, deep, pairs)]
        if better:
            named = ", ".join(f"`{row['detector']}`" for row in better)
            cheapest = min(better, key=_cost_s)
            sentences.append(
                f"`{deep['detector']}`{_short(deep)} ({_cost_s(deep):.3g} s a class) is beaten by "
                f"{named}; the cheapest of them, `{cheapest['detector']}`, takes "
                f"{_cost_s(cheapest):.2g} s."
            )
        elif simple:
            sentences.append(
                f"No detector without training is shown to beat `{deep['detector']}`{_short(deep)}."
            )
    return ["\n".join(f"- {sentence}" for sentence in sentences)] if sentences else []


def _cost_s(row: Row) -> float:
    return float(row["fit_s"] + row["score_s"])


def _are_compared(row: Row, other: Row, pairs: Sequence[Row]) -> bool:
    """Whether there is a test of the two, as there is where one run had both."""
    both = {row["detector"], other["detector"]}
    return any({pair["first"], pair["second"]} == both for pair in pairs)


def _beats(row: Row, other: Row, pairs: Sequence[Row]) -> bool:
    """Whether the difference is significant after Holm's correction for all pairs."""
    return any(
        (pair["first"], pair["second"]) == (other["detector"], row["detector"])
        and pair["p_adjusted"] < 0.05
        for pair in pairs
    )


def _draw_means(path: Path, data: str, means: Sequence[Row]) -> None:
    marks = [
        DetectorMark(
            row["detector"],
            100 * row["auc"],
            100 * row["low"],
            100 * row["high"],
            KINDS[row["labels"]] + (", network" if row["trains"] else ""),
            tuple(mark.auc_percent for mark in published_for(data, row["detector"])),
        )
        for row in means
    ]
    best = best_published(data)
    goal = None if best is None else (f"best published: {best.method}", best.auc_percent)
    figure = new_figure(7.0, 1.0 + 0.27 * len(marks))
    figure.set_facecolor("white")
    plot_mean_auc(marks, ax=figure.subplots(), goal=goal)
    save_figure(figure, path)


def _curves(rows: Sequence[Row]) -> dict[str, dict[float, float]]:
    """Mean AUC in percent by detector and share."""
    found: dict[str, dict[float, list[float]]] = {}
    for row in rows:
        found.setdefault(row["detector"], {}).setdefault(row["share"], []).append(row["auc"])
    return {
        name: {share: 100 * float(np.mean(aucs)) for share, aucs in sorted(points.items())}
        for name, points in found.items()
    }


def _is_lecture(row: Row) -> bool:
    return (row["normal_class"], row["contaminant"]) == LECTURE_PAIR


def _contamination(data: str, rows: Sequence[Row]) -> list[str]:
    pairs = sorted({(row["normal_class"], row["contaminant"]) for row in rows})
    lecture = [row for row in rows if _is_lecture(row)]
    lines = [
        "### Anomalies among the training images",
        "",
        "Images of one other class, unmarked, among the training images, at the share given; AUC "
        "on the test images of the two classes.",
        "",
        f"![AUC against contamination]({data}-contamination.svg)",
        "",
    ]
    if lecture:
        normal, mixed = LECTURE_PAIR
        lines += [f"Normal {normal}, {mixed} mixed in:", "", *_share_table(_curves(lecture))]
    told = ", ".join(f"{normal}+{mixed}" for normal, mixed in pairs)
    lines += [f"Mean over {len(pairs)} pairs of classes ({told}):", ""]
    return [*lines, *_share_table(_curves(rows))]


def _share_table(curves: Mapping[str, Mapping[float, float]]) -> list[str]:
    shares = sorted({share for points in curves.values() for share in points})
    lines = [
        f"| detector | {' | '.join(f'{share:.0%}' for share in shares)} |",
        f"|---|{'---:|' * len(shares)}",
    ]
    for name, points in sorted(curves.items(), key=lambda item: -item[1][max(item[1])]):
        cells = [f"{points[share]:.1f}" if share in points else "-" for share in shares]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return [*lines, ""]


def _draw_contamination(path: Path, rows: Sequence[Row]) -> None:
    lecture = [row for row in rows if _is_lecture(row)]
    panels = {"mean over pairs of classes": _curves(rows)}
    if lecture:
        normal, mixed = LECTURE_PAIR
        panels = {f"normal {normal}, {mixed} mixed in": _curves(lecture)} | panels
    figure = new_figure(4.6 * len(panels), 3.8)
    figure.set_facecolor("white")
    axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    for ax, (title, curves) in zip(axes, panels.items(), strict=True):
        plot_contamination(curves, ax=ax, title=title)
    save_figure(figure, path)
