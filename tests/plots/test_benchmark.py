"""Plots of the one-class benchmark: a detector has one colour in all plots of a page."""

from __future__ import annotations

from bench.plots import new_figure
from bench.plots.benchmark import DetectorMark, plot_contamination, plot_mean_auc

ORDER = ("pca", "knn-hog", "kde")


def test_a_detector_keeps_its_colour_and_marker() -> None:
    left, right = new_figure(6, 3).subplots(1, 2)
    plot_contamination(
        {"kde": {0.0: 97.5, 0.01: 52.0}, "pca": {0.01: 97.0, 0.0: 98.6}},
        ax=left,
        order=ORDER,
        named=False,
    )
    plot_contamination({name: {0.0: 90.0} for name in ORDER}, ax=right, order=ORDER)
    styles = [
        {line.get_label(): (line.get_color(), line.get_marker()) for line in ax.get_lines()}
        for ax in (left, right)
    ]
    assert styles[0] == {name: styles[1][name] for name in ("kde", "pca")}
    assert len(set(styles[1].values())) == len(ORDER)
    assert [list(line.get_xdata()) for line in left.get_lines()] == [[0.0, 1.0], [0.0, 1.0]]
    assert list(left.get_lines()[1].get_ydata()) == [98.6, 97.0]
    assert left.get_legend() is None
    assert [text.get_text() for text in right.get_legend().get_texts()] == list(ORDER)


def test_a_kind_keeps_its_colour_and_only_kinds_at_hand_are_named() -> None:
    kinds = ("no labels", "tuned", "network")
    marks = [
        DetectorMark(name, auc, auc - 1, auc + 1, kind)
        for name, auc, kind in (("a", 90.0, "network"), ("b", 80.0, "no labels"))
    ]
    found = []
    for shown in (marks, marks[::-1], marks[1:]):
        ax = plot_mean_auc(shown, ax=new_figure(4, 3).subplots(), kinds=kinds)
        found.append({line.get_label(): line.get_color() for line in ax.get_lines()})
    assert found[0] == found[1]
    assert set(found[0]) == {"network", "no labels"}
    assert len(set(found[0].values())) == 2
    assert found[2] == {"no labels": found[0]["no labels"]}
