"""Plots show what the analysis says."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from baselines.ablation.analysis.analyse import Analysis, analyse
from baselines.ablation.analysis.curves import CurvePoint
from baselines.ablation.design.presets import preset_plan
from baselines.ablation.design.short_names import effect_name
from baselines.ablation.report import figures
from baselines.ablation.report.effect_plots import BETTER, WORSE, plot_forest, plot_interactions
from baselines.ablation.report.training_plots import (
    CostGain,
    plot_arrows,
    plot_cost_gain,
    plot_curves,
)
from bench.plots import figure_svg, new_figure
from bench.reporting.picture import themed_svg
from tests.baselines.ablation.analysis.test_analyse import changed


def test_a_metric_that_never_varies_has_no_figures(tmp_path: Path) -> None:
    plan = preset_plan("course", metrics=["fid", "precision_k3", "recall_k3"], seeds=2)
    found = analyse(plan, changed(plan, precision_k3=0.0, recall_k3=0.0))
    names = {shown.name for shown in figures.figures_of(found)}
    assert {"effects-fid", "learning-fid"} <= names
    assert not {name for name in names if "precision" in name or "recall" in name}
    notes = [said.text for said in found.sentences]
    assert "On precision_k3, recall_k3: all runs have the same value." in notes


def test_a_band_does_not_set_the_axis() -> None:
    points = [CurvePoint("a", step, 3.0 + step, -500.0, 500.0, 2) for step in (0, 1)]
    low, high = plot_curves(points, "fid", ax=new_figure(4, 4).subplots()).get_ylim()
    assert (low, high) == (3.0 - 1.5, 4.0 + 1.5)


def test_a_forest_shows_what_the_effects_say(analysis: Analysis) -> None:
    fid = analysis.effects[0]
    ax = plot_forest(fid, ax=new_figure(4, 4).subplots())
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names == [effect_name(effect) for effect in fid.effects]
    marks = [line for line in ax.lines if line.get_marker() == "o"]
    places = {names[int(line.get_ydata()[0])]: line for line in marks}
    for effect in fid.effects:
        line = places[effect_name(effect)]
        assert line.get_xdata()[0] == effect.estimate
        assert (line.get_markerfacecolor() != "none") == effect.is_significant
    assert places["non-saturating"].get_color() == BETTER  # FID falls
    precision = next(one for one in analysis.effects if one.metric == "precision_k3")
    worse = plot_forest(
        type(precision)(**{**vars(precision), "metric": "fid"}), ax=new_figure(4, 4).subplots()
    )
    assert WORSE in {line.get_color() for line in worse.lines}  # the same rise, of a distance


def test_a_heat_map_has_mains_on_the_diagonal(analysis: Analysis) -> None:
    fid = analysis.effects[0]
    ax = plot_interactions(fid, ax=new_figure(4, 4).subplots())
    shown = {tuple(map(int, text.get_position())): text.get_text() for text in ax.texts}
    mains = [e for e in fid.effects if len(e.term) == 1]
    assert len(shown) == 4 + 6
    for place, effect in enumerate(mains):
        assert shown[place, place].rstrip("*") == f"{round(effect.standardised or 0, 1) + 0.0:+.1f}"
        assert shown[place, place].endswith("*") == effect.is_significant
    assert all(column >= row for column, row in shown)


def test_learning_curves_have_bands_and_names() -> None:
    points = [
        CurvePoint(group, step, 40.0 / step, 35.0 / step, 45.0 / step, 3)
        for group in ("base", "best", "other")
        for step in (1, 10)
    ]
    ax = plot_curves(
        points, "fid", ax=new_figure(4, 4).subplots(), named={"best": "noise", "base": "plain"}
    )
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["noise", "plain"]
    assert len(ax.lines) == 3
    assert len(ax.collections) == 2  # bands of the named ones
    assert ax.get_yscale() == "log"
    flat = [point._replace(mean=5.0) for point in points]
    assert plot_curves(flat, "fid", ax=new_figure(4, 4).subplots()).get_yscale() == "linear"


def test_the_best_cell_is_none_of_survivors(analysis: Analysis) -> None:
    """With the minibatch layer and without the non-saturating loss one of three seeds is left."""
    for metric in ("fid", "recall_k3", "coverage_k5"):
        named = list(figures.named_cells(analysis, metric))
        assert named[0] == analysis.base
        assert len(named) in (1, 2)
        lost = "minibatch-discrimination=on, non-saturating=off"
        assert not any(cell.endswith(lost) for cell in named)
    assert "non-saturating=on" in list(figures.named_cells(analysis, "fid"))[1]


def test_arrows_and_costs(analysis: Analysis) -> None:
    plane = [a for a in analysis.arrows if a.quality_metric == "precision_k3"]
    ax = plot_arrows(plane, ax=new_figure(4, 4).subplots())
    tips = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
    arrow = next(a for a in plane if a.factor == "non-saturating")
    assert tips["non-saturating"].get_ydata()[0] == arrow.quality.start + arrow.quality.shift
    low, high = ax.get_ylim()
    assert low < arrow.quality.start < high
    points = [
        CostGain("a", 1.3, 1.2, 1.4, -20.0, -21.0, -19.0),
        CostGain("b", 1, None, None, 2, None, None),
    ]
    ax = plot_cost_gain(points, "fid", ax=new_figure(4, 4).subplots(), lower=True)
    bottom, top = ax.get_ylim()
    assert bottom > top  # better is up


def test_text_of_a_plot_keeps_its_digits() -> None:
    """Coordinates are rounded to what a screen shows, ticks are not."""
    figure = new_figure(3, 2)
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1])
    ax.set_title("AUC 0.55312")
    ax.set_xticks([0.0125], ["0.0125"])
    svg = themed_svg(figure_svg(figure))
    root = ET.fromstring(svg)  # noqa: S314  (our own)
    texts = [node.text for node in root.iter() if node.tag.endswith("text")]
    assert {"AUC 0.55312", "0.0125"} <= set(texts)
    assert not re.search(r'd="[^"]*\d\.\d{3}', svg)
