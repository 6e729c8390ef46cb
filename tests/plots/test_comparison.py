"""Bars of several submissions: values, intervals, absent values, hostile names."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
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


def points(ax: Axes) -> list[float]:
    return [float(np.asarray(line.get_xdata())[0]) for line in ax.get_lines()
            if line.get_marker() == "o"]  # fmt: skip


def ticks(ax: Axes) -> list[str]:
    low, high = ax.get_xlim()
    labels = ax.xaxis.get_major_formatter().format_ticks(list(ax.get_xticks()))
    return [text for x, text in zip(ax.get_xticks(), labels, strict=True) if low <= x <= high]


def test_distances_far_apart_are_points_on_a_logarithmic_axis() -> None:
    ax = Figure().subplots()
    entries = [entry("fid", 0.4, 0.3), entry("fid", 700.0, 5.0)]
    plot_metric_bars(["a", "b"], entries, ax=ax, scale="log")
    assert ax.get_xscale() == "log"
    assert not ax.patches
    assert points(ax) == [0.4, 700.0]
    low, high = ax.get_xlim()
    assert 0 < low < 0.25  # what is perfect here
    assert high > 705
    assert len(ticks(ax)) >= 3
    assert not any("e" in text or "times" in text for text in ticks(ax))


def test_one_outlier_among_distances_does_not_hide_the_others() -> None:
    """Eight times is enough, also where a value or the perfect one is zero or below."""
    for scale, values, expected in (
        ("log", [1.3, 1.5, 1.7, 14.0], "log"),
        ("log", [1.3, 1.5, 1.7, 9.0], "linear"),
        ("symlog", [-0.0004, 0.0021, 3.1], "symlog"),
        ("symlog", [0.0, 0.002, 0.003], "linear"),
        ("linear", [0.01, 0.9], "linear"),  # shares of 1 stay bars from 0
    ):
        ax = Figure().subplots()
        entries = [entry("fid", value).model_copy(update={"expected": None}) for value in values]
        plot_metric_bars(list("abcd")[: len(values)], entries, ax=ax, scale=scale)  # type: ignore[arg-type]
        assert ax.get_xscale() == expected, (scale, values)
        if expected != "linear":
            assert points(ax) == values
            low, high = ax.get_xlim()
            assert low < min(values)
            assert high > max(values)
            at = ax.transAxes.inverted().transform(
                [ax.transData.transform((value, 0)) for value in values]
            )[:, 0]
            assert np.all(np.diff(np.sort(at)) > 0.01)  # told apart by eye


def test_names_that_would_be_formulas_or_cannot_be_shown() -> None:
    figure = new_figure(4, 2)
    names = ["$\\frac", "\x00\u202ename", "日本語" * 20]
    plot_metric_bars(names, [entry("fid", 2.0)] * 3, ax=figure.subplots(), title="$x")
    text = figure_svg(figure)
    assert "$\\frac" in text
    assert "\x00" not in text
    assert len(figure_png(figure)) > 1000
    assert shortened("a" * 8 + "-" * 90 + "the-very-end-15") == "aaaaaaaa…the-very-end-15"
