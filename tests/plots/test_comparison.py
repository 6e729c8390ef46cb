"""Bars of several submissions: values, intervals, absent values, hostile names."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from bench.plots import figure_png, figure_svg, new_figure, plot_metric_bars
from bench.plots.comparison import shortened
from tests.reporting.complete import entry


def test_bars_intervals_and_absent_values() -> None:
    ax = Figure().subplots()
    entries = [entry("fid", 2.0, 0.1), entry("fid", 3.0), None]
    plot_metric_bars(["a", "b", "c"], entries, ax=ax, best=0)
    assert [bar.get_width() for bar in ax.patches] == [2.0, 3.0]  # type: ignore[attr-defined]
    whisker = ax.get_lines()[0]
    np.testing.assert_allclose(np.asarray(whisker.get_xdata()), [2 - 0.196, 2 + 0.196])
    assert [text.get_text() for text in ax.texts] == ["no value"]
    names = [(tick.get_text(), tick.get_fontweight()) for tick in ax.get_yticklabels()]
    assert names == [("a", "bold"), ("b", "normal"), ("c", "normal")]


def test_values_far_apart_are_points_on_a_logarithmic_axis() -> None:
    ax = Figure().subplots()
    plot_metric_bars(["a", "b"], [entry("fid", 0.4, 0.3), entry("fid", 700.0, 5.0)], ax=ax)
    assert ax.get_xscale() == "log"
    assert not ax.patches
    low, high = ax.get_xlim()
    assert 0 < low < 0.25  # what is perfect here
    assert high > 705


def test_names_that_would_be_formulas_or_cannot_be_shown() -> None:
    figure = new_figure(4, 2)
    names = ["$\\frac", "\x00\u202ename", "日本語" * 20]
    plot_metric_bars(names, [entry("fid", 2.0)] * 3, ax=figure.subplots(), title="$x")
    text = figure_svg(figure)
    assert "$\\frac" in text
    assert "\x00" not in text
    assert len(figure_png(figure)) > 1000
    assert shortened("a" * 8 + "-" * 90 + "the-very-end-15") == "aaaaaaaa…the-very-end-15"
