"""Figures of judged detectors: ROC curves, score histograms, the most anomalous images and their
reconstructions.

Shape legend: N images, H,W,C an image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.anomaly.detectors.base import Reconstructing
from bench.anomaly.fit_and_judge import Judged, Task
from bench.anomaly.folder.labels import KINDS
from bench.plots import new_figure, plot_images
from bench.plots.roc import NamedCurve, plot_detectors, plot_score_histogram
from bench.statistics.roc import roc_curve

NUM_SHOWN = 24
COLUMNS = 8


def roc_figure(judged: Sequence[Judged], task: Task) -> Figure:
    """Draw the ROC curves of all detectors."""
    curves = []
    for one in judged:
        labels = task.labels[one.rows]
        curve = roc_curve(one.scores[labels == 1], one.scores[labels == 0])
        curves.append(
            NamedCurve(one.row.name, curve.false_positives, curve.true_positives, one.numbers.auc)
        )
    figure = new_figure(5.2, 5.2)
    plot_detectors(curves, ax=figure.subplots(), title="Normal or anomalous")
    return figure


def histogram_figure(one: Judged, task: Task) -> Figure:
    """Draw the scores of normal and of anomalous images."""
    labels = task.labels[one.rows]
    figure = new_figure(6, 3.2)
    plot_score_histogram(
        one.scores[labels == 1], one.scores[labels == 0], ax=figure.subplots(), title=one.row.name
    )
    return figure


def most_anomalous(one: Judged, num: int = NUM_SHOWN) -> NDArray[np.int64]:
    """Return the rows of the images with the highest scores, highest first; of equal scores the
    first.
    """
    return one.rows[np.argsort(-one.scores, kind="stable")[:num]]


def anomalies_figure(one: Judged, task: Task) -> Figure:
    """Draw the most anomalous images with their scores. Where the detector reconstructs images,
    each stands above its reconstruction.
    """
    rows = most_anomalous(one)
    images = task.images[rows]
    title = f"Most anomalous by {one.row.name}"
    height = 1.0
    if isinstance(one.detector, Reconstructing):
        images = np.concatenate([images, one.detector.reconstructions(images)], axis=1)
        title += ", above their reconstructions"
        height = 2.0
    columns = min(COLUMNS, len(rows))
    num_rows = -(-len(rows) // columns)
    figure = new_figure(max(0.95 * columns, 4.0), 0.95 * height * num_rows + 0.3)
    figure.set_facecolor("white")  # a PNG may be shown on any background
    plot_images(
        images,
        ax=figure.subplots(),
        title=title,
        columns=COLUMNS,
        captions=_captions(one, task, rows),
    )
    return figure


def _captions(one: Judged, task: Task, rows: NDArray[np.int64]) -> list[str]:
    """Return the score of each image, marked where the image is normal."""
    score = dict(zip(one.rows.tolist(), one.scores.tolist(), strict=True))
    return [
        f"{score[row]:.3g}" if task.labels[row] else f"{score[row]:.3g} {KINDS[0]}"
        for row in rows.tolist()
    ]
