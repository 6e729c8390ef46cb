"""The plots of one submission and of several side by side, as far as the data is available."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.metrics import known_metric
from bench.plots import (
    PlanePoint,
    Scale,
    is_ellipse_visible,
    new_figure,
    plot_class_histogram,
    plot_embedding,
    plot_fid_line,
    plot_grey_histogram,
    plot_metric_bars,
    plot_precision_recall,
    plot_roc,
)
from bench.records.score_record import ScoreRecord, ScoreValue
from bench.reporting.picture import Picture, picture_of
from bench.reporting.sources import Exhibits, Scored
from bench.reporting.tsne import tsne
from bench.reporting.words import class_shares
from bench.runtime.cache import Cache
from bench.tables.numbers import NO_VALUE, number, percent
from bench.tables.presentation import first_entries, heading

SMALL_IN = (3.7, 3.1)
SQUARE_IN = (3.7, 3.7)


def plot_pictures(scored: Scored, cache: Cache) -> list[Picture]:
    """Return every plot for which the record and its exhibits hold the data."""
    record, exhibits = scored
    makers = (_classes, _grey, _plane, _fid_line, _roc)
    pictures = [picture for make in makers if (picture := make(record, exhibits)) is not None]
    return [*pictures, *_embeddings(exhibits, cache)]


def _entry(record: ScoreRecord, metric: str) -> ScoreValue | None:
    return next((e for e in record.values if e.metric == metric and e.value is not None), None)


def _classes(record: ScoreRecord, exhibits: Exhibits) -> Picture | None:
    shares = class_shares(Scored(record, exhibits))
    if shares is None:
        return None
    figure = new_figure(*SMALL_IN)
    plot_class_histogram(shares.fake, shares.real, ax=figure.subplots())
    k = int(np.argmax(np.abs(shares.fake - shares.real)))
    alt = (
        f"Histogram of predicted classes. Largest difference: class {k} with "
        f"{percent(float(shares.fake[k]))}, real {percent(float(shares.real[k]))}."
    )
    return picture_of(
        figure,
        alt=alt,
        caption="Bars: this folder. Marks: real images.",
    )


def _grey(_: ScoreRecord, exhibits: Exhibits) -> Picture | None:
    levels, real = exhibits.get("grey_histogram"), exhibits.get("reference_grey_histogram")
    if levels is None:
        return None
    shares = levels.astype(np.float64)
    figure = new_figure(*SMALL_IN)
    plot_grey_histogram(
        shares, None if real is None else real.astype(np.float64), ax=figure.subplots()
    )
    used = int((shares > 0).sum())
    alt = f"Histogram of grey levels: {used} of {len(shares)} levels occur."
    return picture_of(
        figure,
        alt=alt,
        caption=f"{used} of {len(shares)} grey levels occur. Gaps or spikes that real images "
        "lack often come from rounding or clipping when the images were saved.",
    )


def _plane(record: ScoreRecord, exhibits: Exhibits) -> Picture | None:
    precision, recall = _entry(record, "precision_k3"), _entry(record, "recall_k3")
    prd = _prd(record, exhibits)
    if (precision is None or recall is None) and prd is None:
        return None
    point = perfect = None
    alt = "Plane of precision and recall."
    if precision is not None and recall is not None:
        point = PlanePoint(
            recall.value or 0.0,
            precision.value or 0.0,
            None if recall.interval is None else recall.interval.standard_error,
            None if precision.interval is None else precision.interval.standard_error,
        )
        alt += f" This folder: precision {point.precision:.3f}, recall {point.recall:.3f}."
        if precision.expected is not None and recall.expected is not None:
            perfect = PlanePoint(recall.expected, precision.expected)
            alt += f" Real images: {perfect.precision:.3f} and {perfect.recall:.3f}."
    figure = new_figure(*SQUARE_IN)
    plot_precision_recall(point, ax=figure.subplots(), perfect=perfect, prd=prd)
    caption = "Top right is best. "
    if point is not None and is_ellipse_visible(point):
        caption += "Ellipse: 95 % region. "
    caption += "" if prd is None else "The PRD curve uses another definition of both."
    return picture_of(figure, alt=alt, caption=caption)


def _prd(
    record: ScoreRecord, exhibits: Exhibits
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    precision, recall = exhibits.get("prd_precision"), exhibits.get("prd_recall")
    if precision is not None and recall is not None:
        return precision.astype(np.float64), recall.astype(np.float64)
    for entry in record.values:
        both = [entry.details.get(f"curve_{side}") for side in ("precision", "recall")]
        if all(isinstance(side, list) for side in both):
            return np.asarray(both[0], np.float64), np.asarray(both[1], np.float64)
    return None


def _fid_line(record: ScoreRecord, _: Exhibits) -> Picture | None:
    entry = _entry(record, "fid_infinity")
    if entry is None or entry.value is None:
        return None
    sizes, values = entry.details.get("sizes"), entry.details.get("fid_at_sizes")
    slope = entry.details.get("slope")
    if not (isinstance(sizes, list) and isinstance(values, list) and isinstance(slope, float)):
        return None
    if len(sizes) != len(values) or len(sizes) < 2 or min(sizes) < 1:
        return None
    figure = new_figure(*SMALL_IN)
    plot_fid_line([int(n) for n in sizes], values, entry.value, slope, ax=figure.subplots())
    alt = (
        f"FID of subsets of {min(sizes):,} to {max(sizes):,} images; the line through them reaches "
        f"{number(entry.value)} for infinitely many images."
    )
    return picture_of(
        figure,
        alt=alt,
        caption="FID falls as the number of images grows. The line extends it to infinitely many.",
    )


def _roc(record: ScoreRecord, exhibits: Exhibits) -> Picture | None:
    false, true = exhibits.get("roc_false_positives"), exhibits.get("roc_true_positives")
    if false is None or true is None or false.shape != true.shape:
        return None
    entry = _entry(record, "anomaly_auc")
    area = None if entry is None else entry.value
    figure = new_figure(*SQUARE_IN)
    plot_roc(false.astype(np.float64), true.astype(np.float64), ax=figure.subplots(), auc=area)
    alt = "ROC curve of the anomaly detector" + ("." if area is None else f", area {area:.3f}.")
    return picture_of(
        figure,
        alt=alt,
        caption="On the dashed line, the detector cannot tell this folder from real images.",
    )


def _embeddings(exhibits: Exhibits, cache: Cache) -> Iterator[Picture]:
    fake, real = exhibits.get("pca_fake"), exhibits.get("pca_real")
    if fake is None or real is None or fake.ndim != 2 or min(fake.shape[1], real.shape[1]) < 2:
        return
    alt = "{}: {} images of the folder and {} real ones."
    figure = new_figure(*SQUARE_IN)
    plot_embedding(
        fake[:, :2].astype(np.float64),
        real[:, :2].astype(np.float64),
        ax=figure.subplots(),
        title="Features, principal components",
        x="first component of real images",
        y="second component",
    )
    yield picture_of(
        figure,
        alt=alt.format("Two principal components", len(fake), len(real)),
        caption="Where only real images lie, the folder lacks something; where only its own lie, "
        "it invents something.",
    )
    placed = tsne(fake, real, cache)
    if placed is None:
        return
    figure = new_figure(*SQUARE_IN)
    plot_embedding(placed.fake, placed.real, ax=figure.subplots(), title="Features, t-SNE")
    yield picture_of(
        figure,
        alt=alt.format("t-SNE", len(placed.fake), len(placed.real)),
        caption="Close points are similar images. Sizes of islands and distances between them mean "
        "nothing.",
    )


def _scale_of(metric: str) -> Scale:
    row = known_metric(metric)
    return "linear" if row is None else row.scale


def comparison_pictures(
    names: Sequence[str], records: Sequence[ScoreRecord], best: dict[str, int]
) -> list[Picture]:
    """Return one picture for each metric: bars with intervals.

    `best` holds the position of the significantly best submission for metrics that have one.
    """
    by_metric = [{entry.metric: entry for entry in record.values} for record in records]
    pictures = []
    for metric, first in first_entries(records).items():
        column = [entries.get(metric) for entries in by_metric]
        figure = new_figure(3.9, 1.15 + 0.24 * len(names))
        plot_metric_bars(
            names,
            column,
            ax=figure.subplots(),
            best=best.get(metric),
            title=heading(first),
            scale=_scale_of(metric),
        )
        values = [
            f"{name} {number(entry.value) if entry is not None else NO_VALUE}"
            for name, entry in zip(names, column, strict=True)
        ]
        pictures.append(picture_of(figure, alt=f"{metric}: {', '.join(values)}."))
    return pictures
