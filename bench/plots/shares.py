"""Shares with their intervals, one row each: accuracies by section, precisions by rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from bench.plots.palette import MARKERS, OKABE_ITO, dress, legend
from bench.statistics.intervals import Uncertainty


def plot_shares(
    rows: Sequence[str],
    series: Mapping[str, Sequence[Uncertainty | None]],
    *,
    ax: Axes,
    title: str = "",
    x: str = "share",
) -> Axes:
    """Draw one row for each name, from the top, with a point and its interval for each series.

    A row without a value in a series is empty there.
    """
    count = len(series)
    for number, (name, found) in enumerate(series.items()):
        offset = 0.5 * (number - (count - 1) / 2) / max(count, 1)
        drawn = [(row + offset, one) for row, one in enumerate(found) if one is not None]
        values = [one.estimate for _, one in drawn]
        ax.errorbar(
            values,
            [row for row, _ in drawn],
            xerr=np.array([[one.estimate - one.low, one.high - one.estimate] for _, one in drawn])
            .reshape(-1, 2)
            .T,
            linestyle="none",
            marker=MARKERS[number % len(MARKERS)],
            markersize=5,
            capsize=2,
            linewidth=1.2,
            color=OKABE_ITO[number % len(OKABE_ITO)],
            label=name,
        )
    ax.set_yticks(range(len(rows)), list(rows), parse_math=False)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlim(-0.02, 1.02)
    if count > 1:
        legend(ax, beside=True)
    return dress(ax, title=title, x=x, grid="x")
