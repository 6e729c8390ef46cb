"""Ticks say exactly where they are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.figure import Figure

from bench.plots import new_figure, plot_class_histogram
from bench.plots.palette import dress
from bench.plots.ticks import MAX_LABELS, log_ticks, symlog_ticks


def shown(axis: object) -> list[tuple[float, str]]:
    """Places and texts of the ticks that are in view."""
    low, high = sorted(axis.get_view_interval())  # type: ignore[attr-defined]
    places = list(axis.get_majorticklocs())  # type: ignore[attr-defined]
    texts = axis.get_major_formatter().format_ticks(places)  # type: ignore[attr-defined]
    pairs = zip(places, texts, strict=True)
    return [(place, text) for place, text in pairs if low <= place <= high]


@pytest.mark.parametrize("largest", [0.0012, 0.017, 0.1, 0.14, 0.165, 0.3, 1.0])
def test_percent_is_true_and_has_equal_digits(largest: float) -> None:
    """At 0.14, ticks lie every 2.5 %: 17.5 must not read 18."""
    ax = Figure().subplots()
    plot_class_histogram(np.array([largest, largest / 2]), np.array([largest, largest]), ax=ax)
    ticks = shown(ax.yaxis)
    assert len(ticks) >= 3
    for place, text in ticks:
        assert float(text.removesuffix(" %")) == pytest.approx(100 * place, abs=1e-9)
    assert len({len(text.partition(".")[2]) for _, text in ticks}) == 1
    assert len({text for _, text in ticks}) == len(ticks)


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.2, 0.9), (0.8, 30), (250, 6000), (1e-5, 1e5), (3e-9, 2e9), (1.0, 1.4), (44, 46)],
)
def test_logarithmic_ticks_are_plain_numbers(low: float, high: float) -> None:
    ax = Figure().subplots()
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    log_ticks(ax.xaxis, low, high)
    ticks = shown(ax.xaxis)
    assert 2 <= len(ticks) <= MAX_LABELS
    for place, text in ticks:
        assert float(text.replace(",", "")) == pytest.approx(place, rel=1e-9)
        assert "$" not in text
    assert len(ax.xaxis.get_minorticklocs()) == 0


@pytest.mark.parametrize(
    ("linear", "low", "high"), [(0.12, -0.3, 9000), (0.0004, 0, 80), (1, -5000, 20), (0.02, 0, 0.3)]
)
def test_symlog_ticks_do_not_touch(linear: float, low: float, high: float) -> None:
    """On axes of the width of a page's plots, no two labels overlap."""
    figure = new_figure(3.9, 1.6)
    ax = figure.subplots()
    ax.set_xscale("symlog", linthresh=linear)
    ax.set_xlim(low - 0.5 * linear, high)
    symlog_ticks(ax.xaxis, linear, low, high)
    dress(ax)
    figure.canvas.draw()
    assert "0" in [text for _, text in shown(ax.xaxis)]
    boxes = sorted(
        (label.get_window_extent() for label in ax.get_xticklabels() if label.get_text()),
        key=lambda box: box.x0,
    )
    assert len(boxes) >= 2
    for left, right in itertools.pairwise(boxes):
        assert left.x1 < right.x0
