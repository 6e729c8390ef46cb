"""Plots of anomaly detectors: ROC curves, and the scores of normal and anomalous images.

Shape legend: P points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bench.plots.palette import MUTED, OKABE_ITO, REAL, YOURS, dress, legend
from bench.plots.ticks import PercentTicks

LINES = ("-", "--", "-.", ":")
BINS = 60
SHOWN = 0.995  # share of the scores below the last bar, which holds all higher ones


class NamedCurve(NamedTuple):
    """The ROC curve of a detector, float64 of shape P, and the area under it."""

    name: str
    false_positives: NDArray[np.float64]
    true_positives: NDArray[np.float64]
    auc: float


def plot_roc(
    false_positives: NDArray[np.floating],
    true_positives: NDArray[np.floating],
    *,
    ax: Axes,
    auc: float | None = None,
    title: str = "Anomaly detector",
) -> Axes:
    """Draw the ROC curve of a detector that tells a folder from held-out real images.

    On the diagonal the detector cannot tell, which is perfect for the folder.
    """
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--", label="cannot tell (0.5)")
    label = "this folder" if auc is None else f"this folder ({auc:.3f})"
    ax.plot(false_positives, true_positives, color=YOURS, linewidth=1.8, label=label)
    ax.set_xlim(0, 1.0)
    ax.set_ylim(0, 1.02)
    ax.set_aspect("equal", adjustable="box")
    legend(ax, loc="lower right")
    return dress(
        ax,
        title=title,
        x="share of real images above",
        y="share of this folder above",
        grid="both",
    )


def plot_detectors(curves: Sequence[NamedCurve], *, ax: Axes, title: str = "Detectors") -> Axes:
    """Draw the ROC curves of several detectors, the largest area first in the legend."""
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--", label="cannot tell (0.5)")
    for place, curve in enumerate(sorted(curves, key=lambda curve: -curve.auc)):
        ax.plot(
            curve.false_positives,
            curve.true_positives,
            color=OKABE_ITO[place % len(OKABE_ITO)],
            linestyle=LINES[place // len(OKABE_ITO) % len(LINES)],
            linewidth=1.6,
            label=f"{curve.name} ({curve.auc:.3f})",
        )
    ax.set_xlim(-0.01, 1)
    ax.set_ylim(0, 1.01)
    ax.set_aspect("equal", adjustable="box")
    legend(ax, loc="lower right")
    return dress(
        ax,
        title=title,
        x="share of normal images above",
        y="share of anomalous images above",
        grid="both",
    )


def plot_score_histogram(
    anomalous: NDArray[np.floating],
    normal: NDArray[np.floating],
    *,
    ax: Axes,
    title: str = "Scores",
) -> Axes:
    """Draw histograms of the scores of normal and of anomalous images, each as shares of its kind.

    The last bar holds the highest 0.5 % of all scores if they lie far above the others.
    """
    both = np.concatenate([anomalous, normal])
    low, high = float(both.min()), float(np.quantile(both, SHOWN))
    if high <= low:
        low, high = low - 0.5, low + 0.5
    edges = np.linspace(low, high, BINS + 1)
    for scores, colour, label in ((normal, REAL, "normal"), (anomalous, YOURS, "anomalous")):
        counts, _ = np.histogram(np.clip(scores, low, high), edges)
        ax.stairs(counts / len(scores), edges, fill=True, color=colour, alpha=0.45, linewidth=0)
        ax.stairs(
            counts / len(scores),
            edges,
            color=colour,
            linewidth=1.3,
            label=f"{len(scores):,} {label}",
        )
    ax.yaxis.set_major_formatter(PercentTicks())
    legend(ax, loc="upper right")
    above = " (last bar: this and above)" if both.max() > high else ""
    return dress(ax, title=title, x=f"score{above}", y="share of images of the kind")
