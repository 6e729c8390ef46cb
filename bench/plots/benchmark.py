"""Plots of the one-class benchmark: mean AUC of each detector, AUC against contamination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from bench.plots.palette import INK, MARKERS, MUTED, OKABE_ITO, dress, legend


class DetectorMark(NamedTuple):
    """The mean AUC of a detector with its interval, in percent.

    Marks of one `kind` share an entry of the legend; `published` holds figures of the same method.
    """

    name: str
    auc: float
    low: float
    high: float
    kind: str
    published: tuple[float, ...] = ()


def plot_mean_auc(
    marks: Sequence[DetectorMark],
    *,
    ax: Axes,
    goal: tuple[str, float] | None = None,
    kinds: Sequence[str] = (),
) -> Axes:
    """Draw one line for each detector, the best on top, with its interval.

    Crosses are published figures of the same method; `goal` names the best published figure of any
    method, drawn as a dashed line. `kinds` fixes the colour of each kind across several plots.
    """
    ordered = sorted(marks, key=lambda mark: -mark.auc)
    for number, kind in enumerate(dict.fromkeys([*kinds, *(mark.kind for mark in marks)])):
        places = [place for place, mark in enumerate(ordered) if mark.kind == kind]
        if not places:
            continue
        own = [ordered[place] for place in places]
        colour = OKABE_ITO[number % len(OKABE_ITO)]
        ax.hlines(places, [m.low for m in own], [m.high for m in own], color=colour, linewidth=2)
        ax.plot(
            [m.auc for m in own],
            places,
            color=colour,
            marker=MARKERS[number % len(MARKERS)],
            markersize=5,
            linestyle="",
            label=kind,
        )
    crosses = [(auc, place) for place, mark in enumerate(ordered) for auc in mark.published]
    if crosses:
        ax.plot(
            [auc for auc, _ in crosses],
            [place for _, place in crosses],
            color=INK,
            marker="x",
            markersize=6,
            linestyle="",
            label="published, same method",
        )
    if goal is not None:
        ax.axvline(goal[1], color=MUTED, linewidth=0.9, linestyle="--", label=goal[0])
    ax.set_yticks(range(len(ordered)), [mark.name for mark in ordered])
    ax.set_ylim(len(ordered) - 0.4, -0.6)
    dress(ax, x="mean AUC over the classes, %", grid="x")
    legend(ax, loc="lower left" if _is_left_empty(ordered) else "best")
    return ax


def _is_left_empty(ordered: Sequence[DetectorMark]) -> bool:
    """Tell whether the lower left corner, where the worst detectors are drawn, is free."""
    span = ordered[0].auc - ordered[-1].auc
    return all(mark.low > ordered[-1].auc + span / 3 for mark in ordered[-3:])


def plot_contamination(
    curves: Mapping[str, Mapping[float, float]],
    *,
    ax: Axes,
    title: str = "",
    order: Sequence[str] | None = None,
    named: bool = True,
) -> Axes:
    """Draw AUC in percent against the share of anomalies in the training images, by detector.

    `curves` maps each detector to its AUC by share. `order` fixes the colour of each detector
    across several plots; `named` adds the legend.
    """
    places = {name: place for place, name in enumerate(order or curves)}
    for name, points in curves.items():
        number = places[name]
        shares = sorted(points)
        ax.plot(
            [100 * share for share in shares],
            [points[share] for share in shares],
            color=OKABE_ITO[number % len(OKABE_ITO)],
            marker=MARKERS[number % len(MARKERS)],
            markersize=4,
            linewidth=1.2,
            linestyle="-" if number < len(OKABE_ITO) else "--",
            label=name,
        )
    dress(ax, title=title, x="anomalies among the training images, %", y="AUC, %")
    if named:
        legend(ax, beside=True)
    return ax
