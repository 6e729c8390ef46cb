"""How often the intervals of each metric hold the true value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from bench.plots.palette import GRID, MARKERS, MUTED, OKABE_ITO, dress, legend

ACCEPTED = (0.925, 0.975)
SPREAD = 0.7  # height taken by the series of one metric, where metrics are 1 apart


def plot_coverage(
    metrics: Sequence[str],
    series: Mapping[str, Mapping[str, tuple[float, float, float]]],
    *,
    ax: Axes,
    level: float,
) -> Axes:
    """Draw a point with a whisker for each metric and series.

    `series` maps a name to (rate, low, high) by metric. The band is the accepted range, the dashed
    line the nominal level. The axis starts at 0.85.
    """
    ax.axvspan(*ACCEPTED, color=GRID, alpha=0.6, linewidth=0)
    ax.axvline(level, color=MUTED, linewidth=0.9, linestyle="--")
    for number, (name, rates) in enumerate(series.items()):
        offset = ((number + 0.5) / len(series) - 0.5) * SPREAD
        colour = OKABE_ITO[number % len(OKABE_ITO)]
        for place, metric in enumerate(metrics):
            if metric in rates:
                _, low, high = rates[metric]
                ax.plot([low, high], [place + offset] * 2, color=colour, linewidth=1.1)
        ax.plot(
            [rates[metric][0] for metric in metrics if metric in rates],
            [place + offset for place, metric in enumerate(metrics) if metric in rates],
            color=colour,
            marker=MARKERS[number % len(MARKERS)],
            markersize=4,
            linestyle="",
            label=name,
        )
    ax.set_yticks(range(len(metrics)), metrics)
    ax.set_ylim(len(metrics) - 0.4, -0.6)
    ax.set_xlim(0.85, 1.004)
    dress(ax, x="share of draws whose interval holds the true value", grid="x")
    legend(ax, loc="lower left")
    return ax
